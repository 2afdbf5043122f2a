//! Whose turn it is: what is due waits, is admitted, and begins.

use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::Name;
use rollcall_catalog::time::Now;

use super::begin::When;
use super::{Admission, Candidate, Change, Checks, Scheduled, Stage, Start, Step, TargetId};
use crate::definition::Target;
use crate::schedule;
use crate::shares::Lane;
use crate::state::CheckState;

/// What the catalog keeps out is looked at again after this time.
pub(super) const WITHHELD_MS: u64 = 5_000;

// === impl Checks ===

impl Checks {
    /// What to do now; `None` when there is nothing before [`Checks::next_ms`] or the next outcome.
    pub fn next(&mut self, now: Now, admit: &mut dyn FnMut(Candidate<'_>) -> Admission) -> Option<Step> {
        self.suspicion.tick(now.mono_ms);
        self.step_in_where_nobody_is(now);
        self.let_old_words_count(now);
        self.decide_overdue(now);
        if let Some(change) = self.changes.pop_front() {
            return Some(Step::Change(change));
        }
        if let Some(relay) = self.next_relay(admit, now) {
            return Some(Step::Relay(relay));
        }
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
                    self.summons.cannot_tell(id, &mut self.outbox);
                    if let Some(scheduled) = self.targets.get_mut(&id) {
                        scheduled.stage = Stage::Awaiting;
                        self.awaiting.insert(id);
                    }
                }
                Some(Admission::Withheld) => {
                    self.shares.release(&origin);
                    self.summons.cannot_tell(id, &mut self.outbox);
                    if let Some(change) = self.withhold(id, now) {
                        return Some(Step::Change(change));
                    }
                }
                None => {
                    self.shares.release(&origin);
                    self.summons.cannot_tell(id, &mut self.outbox);
                }
            }
        }
        None
    }

    /// A new target: due `when`, or idle while another replica probes it.
    pub(super) fn schedule(
        &mut self,
        origin: &Arc<Origin>,
        target: Target,
        state: CheckState,
        when: Option<When>,
        now: Now,
    ) -> TargetId {
        let id = self.fresh_id();
        let phase = schedule::phase(&named(origin, &target), target.check.interval);
        let origin = Arc::clone(origin);
        let (stage, began_ms) = (Stage::Idle, now.mono_ms);
        let scheduled =
            Scheduled { origin, target, phase, state, stage, fresh: false, alone: false, due_ms: 0, began_ms };
        self.targets.insert(id, scheduled);
        if let Some(when) = when {
            self.wake(id, when, now);
        }
        id
    }

    /// An idle target is to be probed from now on.
    pub(super) fn wake(&mut self, id: TargetId, when: When, now: Now) {
        let Some(scheduled) = self.targets.get_mut(&id).filter(|scheduled| scheduled.stage == Stage::Idle) else {
            return;
        };
        scheduled.fresh = false;
        let check = &scheduled.target.check;
        let delay = match when {
            When::Now => Duration::ZERO,
            When::Soon => {
                let soon = check.retry_interval.min(check.interval);
                let name = named(&scheduled.origin, &scheduled.target);
                schedule::until(schedule::phase(&name, soon), soon, now)
            }
            When::Phase => schedule::until(scheduled.phase, check.interval, now),
        };
        self.own += 1;
        self.due(id, now.mono_ms.saturating_add(millis_up(delay)));
    }

    /// A target is not to be probed any more. What is under way ends, and its outcome is of no use.
    pub(super) fn rest(&mut self, id: TargetId) {
        self.end_doubt(id);
        let Some(scheduled) = self.targets.get_mut(&id).filter(|scheduled| scheduled.stage != Stage::Idle) else {
            return;
        };
        scheduled.fresh = false;
        let (origin, due_ms) = (Arc::clone(&scheduled.origin), scheduled.due_ms);
        match scheduled.stage {
            Stage::Running => return,
            Stage::Idle => {}
            Stage::Due => self.timer.remove(due_ms, id),
            Stage::Queued => self.shares.retain(&origin, |queued| *queued != id),
            Stage::Awaiting => {
                self.awaiting.remove(&id);
            }
        }
        self.fall_asleep(id);
    }

    pub(super) fn fall_asleep(&mut self, id: TargetId) {
        if let Some(scheduled) = self.targets.get_mut(&id).filter(|scheduled| scheduled.stage != Stage::Idle) {
            scheduled.stage = Stage::Idle;
            self.own -= 1;
        }
    }

    pub(super) fn due(&mut self, id: TargetId, due_ms: u64) {
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

    pub(super) fn admission(
        &self,
        id: TargetId,
        admit: &mut dyn FnMut(Candidate<'_>) -> Admission,
    ) -> Option<Admission> {
        let (origin, target) = match self.targets.get(&id) {
            Some(scheduled) => (&scheduled.origin, &scheduled.target),
            None => self.summons.target(id).or_else(|| self.relays.target(id))?,
        };
        let registration = self.registrations.get(origin)?;
        Some(admit(Candidate {
            origin,
            service: &registration.service,
            generation: registration.generation,
            endpoint: &target.endpoint,
            ip: target.address.ip(),
        }))
    }

    fn begin(&mut self, id: TargetId, now: Now) -> Option<Start> {
        let Some(scheduled) = self.targets.get_mut(&id) else {
            let (origin, target) = self.summons.target(id)?;
            return Some(Start { id, target: target.clone(), origin: Arc::clone(origin), late: Duration::ZERO });
        };
        (scheduled.stage, scheduled.began_ms) = (Stage::Running, now.mono_ms);
        let late = Duration::from_millis(now.mono_ms.saturating_sub(scheduled.due_ms));
        Some(Start { id, target: scheduled.target.clone(), origin: Arc::clone(&scheduled.origin), late })
    }

    /// What may not be dialled has no say, and begins anew should it be admitted.
    fn withhold(&mut self, id: TargetId, now: Now) -> Option<Change> {
        self.end_doubt(id);
        let scheduled = self.targets.get_mut(&id)?;
        scheduled.state = CheckState::unknown(now);
        let was_alone = std::mem::take(&mut scheduled.alone);
        let news = !std::mem::replace(&mut scheduled.fresh, true) || was_alone;
        let (origin, endpoint, witness) =
            (Arc::clone(&scheduled.origin), Name::clone(&scheduled.target.endpoint), scheduled.witness());
        self.due(id, now.mono_ms.saturating_add(WITHHELD_MS));
        self.say(&origin, &endpoint, witness, None, news, now)
    }
}

/// What its phase is made of.
fn named(origin: &Origin, target: &Target) -> String {
    format!("{}/{}/{}/{}/{}", origin.namespace, origin.name, target.endpoint, target.check.name, target.address)
}

/// Whole milliseconds, never fewer: a wait that is cut off would be over before its point.
pub(super) fn millis_up(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
