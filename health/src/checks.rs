//! All checks of a process: what is due when, what is under way, what came of it.
//!
//! No task, socket or clock: a driver hands in plans, outcomes and the time, starts what [`Checks::next`] says, and passes
//! on the changes.

mod begin;
mod evidence;
pub mod step;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::Origin;
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use self::begin::{Known, When};
pub use self::step::{Admission, Candidate, Change, Course, Replaced, Start, Step, TargetId};
use crate::beat;
use crate::definition::Target;
use crate::ledger::{Ledger, Subject, Vantage, Witness};
use crate::outcome::Outcome;
use crate::plan::{Endpoints, Plan};
use crate::schedule;
use crate::shares::{Lane, Shares};
use crate::state::CheckState;
use crate::timer::Timer;

/// All checks of a process.
#[derive(Debug)]
pub struct Checks {
    targets: HashMap<TargetId, Scheduled>,
    registrations: HashMap<Arc<Origin>, Registration>,
    ledger: Ledger,
    timer: Timer<TargetId>,
    shares: Shares<TargetId>,
    /// Those that the catalog does not have yet.
    awaiting: BTreeSet<TargetId>,
    next_id: u64,
}

#[derive(Debug)]
struct Scheduled {
    origin: Arc<Origin>,
    target: Target,
    phase: Duration,
    state: CheckState,
    stage: Stage,
    /// When it was due last, and when its last probe began.
    due_ms: u64,
    began_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// In the timer.
    Due,
    /// Waits for its turn.
    Queued,
    Running,
    /// Until the catalog has it.
    Awaiting,
}

#[derive(Debug)]
struct Registration {
    service: ServiceKey,
    generation: Option<i64>,
    endpoints: Endpoints,
    targets: Vec<TargetId>,
}

/// What the catalog keeps out is looked at again after this time.
const WITHHELD_MS: u64 = 5_000;

// === impl Checks ===

impl Checks {
    /// No checks yet; at most `probes_max` probes at a time.
    pub fn new(probes_max: usize) -> Self {
        Self {
            targets: HashMap::new(),
            registrations: HashMap::new(),
            ledger: Ledger::default(),
            timer: Timer::default(),
            shares: Shares::new(probes_max),
            awaiting: BTreeSet::new(),
            next_id: 0,
        }
    }

    /// Replaces what is checked of a registration. Targets that stay keep their state and their phase.
    pub fn plan(&mut self, plan: Plan, now: Now) -> Replaced {
        let origin = plan.origin;
        let before = self.registrations.remove(&origin);
        let mut old = self.index(before.as_ref());
        let endpoints = Endpoints::from(plan.endpoints);
        let restored: HashMap<_, _> = plan.restored.into_iter().collect();
        let mut subjects = self.kept(&origin, &endpoints);
        match plan.heartbeat {
            true => self.beats_begin(&origin, &endpoints, before.as_ref(), &restored, &mut subjects, now),
            false => subjects.values_mut().for_each(|subject| _ = subject.evidence.remove(&beat::witness())),
        }
        let mut targets = Vec::with_capacity(plan.targets.len());
        for target in plan.targets {
            let Some(planned) = endpoints.get(&target.endpoint) else { continue };
            let key = key(&target);
            let same = old.get(&key).copied().filter(|id| self.targets.get(id).is_some_and(|old| old.target == target));
            let id = match same {
                Some(id) => {
                    old.remove(&key);
                    id
                }
                None => {
                    let ip = target.address.ip();
                    let planned = before.as_ref().and_then(|before| before.endpoints.get(&target.endpoint));
                    let known = Known {
                        restored: restored.get(&target.endpoint),
                        planned: planned.filter(|planned| planned.addresses.contains(ip)),
                        verdict: self.subject(&origin, &target.endpoint).and_then(Subject::verdict),
                        same_name: old.get(&key).and_then(|id| self.targets.get(id)).map(|old| &old.state),
                    };
                    let (state, when) = begin::begin(&target.check, &known, now);
                    self.schedule(&origin, target, state, when, now)
                }
            };
            targets.push(id);
            let Some(scheduled) = self.targets.get(&id) else { continue };
            let witness = scheduled.witness();
            let withheld = same.is_some()
                && self
                    .subject(&origin, &scheduled.target.endpoint)
                    .is_some_and(|subject| !subject.evidence.contains_key(&witness));
            let subject = subjects
                .entry(Name::clone(&scheduled.target.endpoint))
                .or_insert_with(|| Subject { addresses: planned.addresses, evidence: BTreeMap::new() });
            if !withheld {
                subject.evidence.insert(witness, scheduled.state.evidence());
            }
        }
        let ended = self.cancel(&origin, old.into_values().collect());
        let registration = Registration { service: plan.service, generation: plan.generation, endpoints, targets };
        self.registrations.insert(Arc::clone(&origin), registration);
        Replaced { verdicts: self.ledger.replace(&origin, subjects), ended }
    }

    /// Forgets a registration; the probes that are to be broken off.
    pub fn forget(&mut self, origin: &Arc<Origin>) -> Vec<TargetId> {
        self.ledger.remove(origin);
        let gone = self.registrations.remove(origin).map(|gone| gone.targets.into_iter().collect());
        self.cancel(origin, gone.unwrap_or_default())
    }

    /// What to do now; `None` when there is nothing before [`Checks::next_ms`] or the next outcome.
    pub fn next(&mut self, now: Now, admit: &mut dyn FnMut(Candidate<'_>) -> Admission) -> Option<Step> {
        while let Some((due_ms, id)) = self.timer.pop(now.mono_ms) {
            self.queue(id, due_ms);
        }
        while let Some((origin, id)) = self.shares.start() {
            match self.admission(id, admit) {
                Some(Admission::Admitted) => {
                    if let Some(start) = self.begin(id, now) {
                        return Some(Step::Start(start));
                    }
                    self.shares.release(&origin);
                }
                Some(Admission::Awaited) => {
                    self.shares.release(&origin);
                    self.targets.entry(id).and_modify(|scheduled| scheduled.stage = Stage::Awaiting);
                    self.awaiting.insert(id);
                }
                Some(Admission::Withheld) => {
                    self.shares.release(&origin);
                    if let Some(change) = self.withhold(id, now) {
                        return Some(Step::Change(change));
                    }
                }
                None => self.shares.release(&origin),
            }
        }
        None
    }

    /// When something is due next, in milliseconds of the monotonic clock.
    pub fn next_ms(&self) -> Option<u64> {
        self.timer.next_ms()
    }

    /// Takes in what came of a probe; the change that follows, if one does.
    pub fn finished(&mut self, id: TargetId, outcome: &Outcome, now: Now) -> Option<Change> {
        let scheduled = self.targets.get_mut(&id).filter(|scheduled| scheduled.stage == Stage::Running)?;
        let check = Arc::clone(&scheduled.target.check);
        let next = scheduled.state.observe(outcome, check.thresholds, now);
        let delay = schedule::delay(next, &check, scheduled.phase, scheduled.began_ms, now);
        let evidence = scheduled.state.evidence();
        let (origin, endpoint, witness) =
            (Arc::clone(&scheduled.origin), Name::clone(&scheduled.target.endpoint), scheduled.witness());
        self.shares.release(&origin);
        self.due(id, now.mono_ms.saturating_add(millis_up(delay)));
        self.tell(origin, endpoint, witness, Some(evidence))
    }

    /// How an endpoint came to fail, by the check that saw it first; `None` where no check of ours both saw it live and fail.
    pub fn course(&self, origin: &Arc<Origin>, endpoint: &Name) -> Option<Course> {
        let registration = self.registrations.get(origin)?;
        let targets = registration.targets.iter().filter_map(|id| self.targets.get(id));
        let failing =
            targets.filter(|target| target.target.endpoint == *endpoint && target.state.health() == Health::Critical);
        let (alive_ms, failed_ms) =
            failing.filter_map(|target| target.state.failed_since()).min_by_key(|(_, failed)| *failed)?;
        Some(Course { service: registration.service.clone(), alive_ms, failed_ms })
    }

    /// The catalog has changed: what it did not have yet is looked at again.
    pub fn catalog_changed(&mut self, now: Now) {
        for id in std::mem::take(&mut self.awaiting) {
            self.due(id, now.mono_ms);
        }
    }

    /// Targets that are probed again and again.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is nothing to check.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Probes under way.
    pub fn running(&self) -> usize {
        self.shares.running()
    }

    fn subject(&self, origin: &Arc<Origin>, endpoint: &Name) -> Option<&Subject> {
        self.ledger.subjects(origin)?.get(endpoint)
    }

    fn index(&self, registration: Option<&Registration>) -> HashMap<Key, TargetId> {
        let ids = registration.into_iter().flat_map(|registration| &registration.targets);
        ids.filter_map(|id| Some((key(&self.targets.get(id)?.target), *id))).collect()
    }

    fn schedule(&mut self, origin: &Arc<Origin>, target: Target, state: CheckState, when: When, now: Now) -> TargetId {
        let id = TargetId(self.next_id);
        self.next_id += 1;
        let check = &target.check;
        let name =
            format!("{}/{}/{}/{}/{}", origin.namespace, origin.name, target.endpoint, check.name, target.address);
        let phase = schedule::phase(&name, check.interval);
        let delay = match when {
            When::Now => Duration::ZERO,
            When::Soon => {
                let soon = check.retry_interval.min(check.interval);
                schedule::until(schedule::phase(&name, soon), soon, now)
            }
            When::Phase => schedule::until(phase, check.interval, now),
        };
        let origin = Arc::clone(origin);
        let scheduled = Scheduled { origin, target, phase, state, stage: Stage::Due, due_ms: 0, began_ms: now.mono_ms };
        self.targets.insert(id, scheduled);
        self.due(id, now.mono_ms.saturating_add(millis_up(delay)));
        id
    }

    fn due(&mut self, id: TargetId, due_ms: u64) {
        if let Some(scheduled) = self.targets.get_mut(&id) {
            (scheduled.stage, scheduled.due_ms) = (Stage::Due, due_ms);
            self.timer.put(due_ms, id);
        }
    }

    fn queue(&mut self, id: TargetId, due_ms: u64) {
        let Some(scheduled) = self.targets.get_mut(&id) else { return };
        (scheduled.stage, scheduled.due_ms) = (Stage::Queued, due_ms);
        let lane = if scheduled.state.health().is_callable() { Lane::Steady } else { Lane::Doubtful };
        self.shares.wait(&scheduled.origin, lane, id);
    }

    fn admission(&self, id: TargetId, admit: &mut dyn FnMut(Candidate<'_>) -> Admission) -> Option<Admission> {
        let scheduled = self.targets.get(&id)?;
        let registration = self.registrations.get(&scheduled.origin)?;
        Some(admit(Candidate {
            origin: &scheduled.origin,
            service: &registration.service,
            generation: registration.generation,
            endpoint: &scheduled.target.endpoint,
            ip: scheduled.target.address.ip(),
        }))
    }

    fn begin(&mut self, id: TargetId, now: Now) -> Option<Start> {
        let scheduled = self.targets.get_mut(&id)?;
        (scheduled.stage, scheduled.began_ms) = (Stage::Running, now.mono_ms);
        let late = Duration::from_millis(now.mono_ms.saturating_sub(scheduled.due_ms));
        Some(Start { id, target: scheduled.target.clone(), origin: Arc::clone(&scheduled.origin), late })
    }

    /// What may not be dialled has no say, and begins anew should it be admitted.
    fn withhold(&mut self, id: TargetId, now: Now) -> Option<Change> {
        let scheduled = self.targets.get_mut(&id)?;
        scheduled.state = CheckState::unknown(now);
        let (origin, endpoint, witness) =
            (Arc::clone(&scheduled.origin), Name::clone(&scheduled.target.endpoint), scheduled.witness());
        self.due(id, now.mono_ms.saturating_add(WITHHELD_MS));
        self.tell(origin, endpoint, witness, None)
    }

    fn tell(
        &mut self,
        origin: Arc<Origin>,
        endpoint: Name,
        witness: Witness,
        evidence: Option<crate::ledger::Evidence>,
    ) -> Option<Change> {
        let before = self.subject(&origin, &endpoint).and_then(Subject::verdict).map(|verdict| verdict.health);
        let verdict = self.ledger.put(&origin, &endpoint, witness, evidence)?;
        Some(Change { origin, endpoint, verdict, before: before.unwrap_or(Health::Unknown) })
    }

    /// Forgets targets of a registration; those of them that are under way.
    fn cancel(&mut self, origin: &Arc<Origin>, gone: BTreeSet<TargetId>) -> Vec<TargetId> {
        let mut ended = Vec::new();
        self.shares.retain(origin, |id| !gone.contains(id));
        for id in gone {
            let Some(scheduled) = self.targets.remove(&id) else { continue };
            match scheduled.stage {
                Stage::Due => self.timer.remove(scheduled.due_ms, id),
                Stage::Queued => {}
                Stage::Awaiting => {
                    self.awaiting.remove(&id);
                }
                Stage::Running => {
                    self.shares.release(origin);
                    ended.push(id);
                }
            }
        }
        ended
    }
}

// === impl Scheduled ===

impl Scheduled {
    fn witness(&self) -> Witness {
        Witness { name: Name::clone(&self.target.check.name), vantage: Vantage::Address(self.target.address) }
    }
}

type Key = (Name, Name, std::net::SocketAddr);

fn key(target: &Target) -> Key {
    (Name::clone(&target.endpoint), Name::clone(&target.check.name), target.address)
}

/// Whole milliseconds, never fewer: a wait that is cut off would be over before its point.
fn millis_up(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
