//! What is to be checked: a registration's plan replaces the one before it.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use rollcall_catalog::few::Few;
use rollcall_catalog::input::{Origin, Verdict};
use rollcall_catalog::model::Name;
use rollcall_catalog::time::Now;

use super::begin::{self, Known, When};
use super::{Checks, Registration, Replaced, Stage, TargetId};
use crate::beat;
use crate::confirmation;
use crate::definition::Target;
use crate::ledger::{Subject, Vantage};
use crate::plan::{Endpoints, Plan, Restored};

type Key = (Name, Name, SocketAddr);

/// What a plan is made of, and what was there before it.
pub(super) struct Replacing<'a> {
    pub(super) origin: &'a Arc<Origin>,
    pub(super) before: Option<&'a Registration>,
    pub(super) endpoints: &'a Endpoints,
    pub(super) restored: &'a HashMap<Name, Restored>,
    old: HashMap<Key, TargetId>,
}

// === impl Checks ===

impl Checks {
    /// Replaces what is checked of a registration. Targets that stay keep their state and their phase.
    pub fn plan(&mut self, plan: Plan, now: Now) -> Replaced {
        self.began_ms.get_or_insert(now.mono_ms);
        let nothing = plan.checks_nothing();
        let origin = plan.origin;
        let before = self.registrations.remove(&origin);
        before.iter().for_each(|before| self.step_in.forget(&origin, &before.posts));
        let endpoints = Endpoints::from(plan.endpoints);
        let restored: HashMap<_, _> = plan.restored.into_iter().collect();
        let posts = self.posts(&origin, before.as_ref(), &endpoints, nothing, now);
        let mut subjects = self.kept(&origin, &endpoints);
        match plan.heartbeat {
            true => self.beats_begin(&origin, &endpoints, before.as_ref(), &restored, &mut subjects, now),
            false => subjects.values_mut().for_each(|subject| {
                subject.evidence.remove(&beat::witness());
                // Without beats nobody says anything of them any more.
                subject.evidence.retain(|witness| witness.vantage != Vantage::Machine);
            }),
        }
        let old = self.index(before.as_ref());
        let mut replacing =
            Replacing { origin: &origin, before: before.as_ref(), endpoints: &endpoints, restored: &restored, old };
        let planned = match plan.stuck.first() {
            None => plan.targets,
            Some(check) => {
                let going_on = self.going_on(&replacing);
                self.let_stand(&replacing, &going_on, check, &mut subjects, now);
                going_on
            }
        };
        let mut targets = Vec::with_capacity(planned.len());
        for target in planned {
            let Some(planned) = endpoints.get(&target.endpoint) else { continue };
            let probes = posts.get(&target.endpoint).is_some_and(|post| post.probes);
            let (id, same) = self.target(&mut replacing, target, probes, now);
            targets.push(id);
            let Some(scheduled) = self.targets.get(&id) else { continue };
            let witness = scheduled.witness();
            let withheld = same
                && self
                    .subject(&origin, &scheduled.target.endpoint)
                    .is_some_and(|subject| !subject.evidence.contains_key(&witness));
            let subject = subjects
                .entry(Name::clone(&scheduled.target.endpoint))
                .or_insert_with(|| Subject { addresses: planned.addresses, evidence: Few::new() });
            if !withheld {
                subject.evidence.insert(witness, scheduled.state.evidence());
            }
        }
        let gone = replacing.old.into_values().collect();
        let ended = self.cancel(&origin, gone);
        let others = before.as_ref().map_or(confirmation::OTHERS, |before| before.others);
        let further = before.as_ref().map_or_else(|| [].into(), |before| Arc::clone(&before.further));
        let (service, generation, heartbeat) = (plan.service, plan.generation, plan.heartbeat);
        let registration = Registration { service, generation, endpoints, targets, posts, heartbeat, others, further };
        self.registrations.insert(Arc::clone(&origin), registration);
        let told = self.ledger.replace(&origin, subjects);
        Replaced { verdicts: self.settle_plan(&origin, told, now), ended }
    }

    /// Forgets a registration; the probes that are to be broken off.
    pub fn forget(&mut self, origin: &Arc<Origin>) -> Vec<TargetId> {
        self.ledger.remove(origin);
        if let Some(registration) = self.registrations.get(origin) {
            self.step_in.forget(origin, &registration.posts);
            self.forget_recent(origin);
        }
        self.outbox.verdicts(origin);
        let gone = self.registrations.remove(origin).map(|gone| gone.targets.into_iter().collect());
        self.cancel(origin, gone.unwrap_or_default())
    }

    /// The target, and whether it was there before.
    fn target(&mut self, replacing: &mut Replacing<'_>, target: Target, probes: bool, now: Now) -> (TargetId, bool) {
        let (origin, before) = (replacing.origin, replacing.before);
        let key = key(&target);
        let same = replacing.old.get(&key).copied();
        let same = same.filter(|id| self.targets.get(id).is_some_and(|old| old.target == target));
        if let Some(id) = same {
            replacing.old.remove(&key);
            return (id, true);
        }
        let ip = target.address.ip();
        let planned = before.and_then(|before| before.endpoints.get(&target.endpoint));
        let endpoint = &target.endpoint;
        let moved = replacing.endpoints.get(endpoint).map(|new| new.addresses) != planned.map(|old| old.addresses);
        let verdict = self.said_before(origin, endpoint, before.filter(|_| !moved));
        let known = Known {
            restored: replacing.restored.get(endpoint),
            planned: planned.filter(|planned| planned.addresses.contains(ip)),
            verdict,
            same_name: replacing.old.get(&key).and_then(|id| self.targets.get(id)).map(|old| &old.state),
        };
        let (state, when) = begin::begin(&target.check, &known, now);
        let when = if probes { Some(when) } else { None };
        (self.schedule(origin, target, state, when, now), false)
    }

    /// The verdict that was in force: that of the peer whose word counted by the plan before, else this replica's own.
    pub(super) fn said_before(
        &self,
        origin: &Arc<Origin>,
        endpoint: &Name,
        before: Option<&Registration>,
    ) -> Option<Verdict> {
        match before.and_then(|before| before.posts.get(endpoint)?.voice.as_ref()) {
            Some(peer) => self.words.of(peer, origin, endpoint).and_then(Subject::verdict),
            None => self.subject(origin, endpoint).and_then(Subject::verdict),
        }
    }

    fn index(&self, registration: Option<&Registration>) -> HashMap<Key, TargetId> {
        let ids = registration.into_iter().flat_map(|registration| &registration.targets);
        ids.filter_map(|id| Some((key(&self.targets.get(id)?.target), *id))).collect()
    }

    /// Forgets targets of a registration; those of them that are under way.
    fn cancel(&mut self, origin: &Arc<Origin>, gone: BTreeSet<TargetId>) -> Vec<TargetId> {
        let mut ended = Vec::new();
        self.shares.retain(origin, |id| !gone.contains(id));
        for id in gone {
            self.end_doubt(id);
            let Some(scheduled) = self.targets.remove(&id) else { continue };
            self.own -= usize::from(scheduled.stage != Stage::Idle);
            match scheduled.stage {
                Stage::Due => self.timer.remove(scheduled.due_ms, id),
                Stage::Idle | Stage::Queued => {}
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

/// When a target that is taken over is asked first.
pub(super) fn taken_over(state: &crate::state::CheckState) -> When {
    use rollcall_catalog::model::Health;
    match state.health() {
        Health::Passing | Health::Warning => When::Phase,
        Health::Critical | Health::Maintenance => When::Soon,
        Health::Unknown => When::Now,
    }
}

fn key(target: &Target) -> Key {
    (Name::clone(&target.endpoint), Name::clone(&target.check.name), target.address)
}
