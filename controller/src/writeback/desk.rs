//! The desk of the write-back: it decides what is written when. Pure: time, snapshot and term come in, work goes out.

mod outcome;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rollcall_catalog::Snapshot;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_catalog::policy::PolicyKey;
use rollcall_catalog::report::Report;
use rollcall_catalog::service::Service;
use rollcall_catalog::snapshot::{Changes, Revision};

use super::apply::Work;
use super::budget::Budget;
use super::observed::{Observed, Seen};
use super::pace::Pace;
use super::plan::Planner;
use super::queue::{Queue, Target};
use super::setbacks::Setbacks;
use super::slices;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;

/// What is known, and what is to be done about it.
#[derive(Debug)]
pub struct Desk {
    observed: Observed,
    queue: Queue,
    budget: Budget,
    setbacks: Setbacks,
    /// What has not been listed yet.
    unseen: BTreeSet<Source>,
    /// The revision up to which changes are queued.
    queued: Revision,
    /// The term for which everything has been looked at once.
    term: Option<i32>,
    /// Since when a status has waited for its slices.
    waited: HashMap<Target, u64>,
    entries: Pace<ServiceKey>,
    tales: Pace<Name>,
    /// Events beyond their namespace's share.
    untold: u64,
    /// What became of policies, as far as it is queued.
    told: Arc<BTreeMap<PolicyKey, Arc<Report>>>,
}

/// One moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The monotonic clock.
    pub mono_ms: u64,
    /// The wall clock, for people.
    pub wall: Timestamp,
}

/// What an operator should know of a write that was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is in the nature of things: another one wrote, or the right is missing and told elsewhere.
    Quiet(String),
    /// It is tried again soon.
    Failed(String),
    /// It is tried again when something changes, and now and then.
    Refused(String),
}

/// Nothing is written before what stands there of these has been seen.
const UNSEEN: [Source; 4] =
    [Source::EndpointSlices, Source::ServiceRegistrations, Source::Policies, Source::CatalogEntries];
/// Targets written at once at most: a fifteenth of the seats that the API server has for ServiceAccounts by default (245 of 600,
/// lent out to others by nine tenths), at which writes wait for a seat for 3 ms at most ([`super::budget::Budget::new`]).
pub const BUSY_MAX: usize = 16;
/// A status waits for its slices so long at most: slices that change all the time must not keep it from being told.
const STATUS_WAITS_MS: u64 = 2000;
/// Entries of one service: ten at once, as many as a service has changes while it comes up, and one each five seconds if it
/// changes all the time.
const ENTRIES: (f64, f64) = (0.2, 10.0);
/// Events of one namespace: as many as the endpoints of two registrations at once, two a second on average.
const TALES: (f64, f64) = (2.0, 200.0);

// === impl Desk ===

impl Desk {
    /// A desk that gives out at most `writes_per_second` writes.
    pub fn new(writes_per_second: u32) -> Self {
        Self {
            observed: Observed::default(),
            queue: Queue::default(),
            budget: Budget::new(writes_per_second),
            setbacks: Setbacks::default(),
            unseen: UNSEEN.into(),
            queued: Revision::default(),
            term: None,
            waited: HashMap::new(),
            entries: Pace::new(ENTRIES.0, ENTRIES.1),
            tales: Pace::new(TALES.0, TALES.1),
            untold: 0,
            told: Arc::default(),
        }
    }

    /// How long nothing has to be done, if nothing happens.
    pub fn pause(&self, now_ms: u64) -> Duration {
        const IDLE_MS: u64 = 1000;
        let mut pause_ms = self.queue.next_due_ms(now_ms).unwrap_or(IDLE_MS).min(IDLE_MS);
        if self.queue.has_due() && self.queue.busy() < BUSY_MAX && self.term.is_some() {
            pause_ms = pause_ms.min(self.budget.wait_ms());
        }
        Duration::from_millis(pause_ms.max(1))
    }

    /// Queues what changed; what is to be written now, as far as the budget goes.
    pub fn work(&mut self, snapshot: &Snapshot, term: Option<i32>, now: Now) -> Vec<(Target, Work)> {
        if !self.unseen.is_empty() {
            return Vec::new();
        }
        if term.is_none() {
            self.term = None;
            self.queue.clear();
            self.setbacks.clear();
            self.waited.clear();
            return Vec::new();
        }
        if self.term != term {
            self.term = term;
            self.queue_all(snapshot, now.mono_ms);
        } else {
            self.queue_changes(snapshot, now.mono_ms);
        }
        self.queue_policies(snapshot, now.mono_ms);
        self.queued = snapshot.revision();
        self.due(snapshot, now)
    }

    fn due(&mut self, snapshot: &Snapshot, now: Now) -> Vec<(Target, Work)> {
        let mut due = Vec::new();
        while self.queue.busy() < BUSY_MAX && self.budget.has_token(now.mono_ms) {
            let Some(target) = self.queue.pop(now.mono_ms) else { break };
            if let Some(work) = self.plan(&target, snapshot, now) {
                self.budget.spend(work.writes());
                due.push((target, work));
            }
        }
        due
    }

    /// The work that a target needs. Without any it is done, or waits.
    fn plan(&mut self, target: &Target, snapshot: &Snapshot, now: Now) -> Option<Work> {
        if let Some(until_ms) = self.waits(target, now.mono_ms) {
            self.queue.later(target.clone(), until_ms, now.mono_ms);
            return None;
        }
        let (observed, setbacks) = (&self.observed, &self.setbacks);
        let plan = Planner { observed, setbacks, snapshot, now_ms: now.mono_ms }.plan(target, now.wall);
        match (plan.work, plan.held_until_ms) {
            (Some(mut work), _) => {
                self.share(target, &mut work, now.mono_ms);
                Some(work)
            }
            (None, Some(until_ms)) => {
                self.queue.later(target.clone(), until_ms, now.mono_ms);
                None
            }
            (None, None) => {
                // What was refused before is not wanted any more.
                if self.setbacks.stands(target)
                    && let Target::Slices(service) = target
                {
                    self.queue_statuses(&service.clone(), now.mono_ms);
                }
                self.queue.done(target.clone(), now.mono_ms);
                None
            }
        }
    }

    /// Until when a target is not even looked at. A status tells whether the slices stand, so it is written after them;
    /// an entry that changes all the time is written at its pace.
    fn waits(&mut self, target: &Target, now_ms: u64) -> Option<u64> {
        match target {
            Target::Slices(_) | Target::Policy(_) => None,
            Target::Entry(key) => {
                let wait_ms = self.entries.wait_ms(key, now_ms);
                (wait_ms > 0).then(|| now_ms + wait_ms)
            }
            Target::Status(key) => {
                let service = self.observed.registration(key).map(|seen| seen.service.clone());
                if !service.is_some_and(|service| self.queue.is_pending(&Target::Slices(service))) {
                    self.waited.remove(target);
                    return None;
                }
                let since = *self.waited.entry(target.clone()).or_insert(now_ms);
                let until_ms = since + STATUS_WAITS_MS;
                if until_ms <= now_ms {
                    self.waited.remove(target);
                    return None;
                }
                Some(until_ms)
            }
        }
    }

    /// Takes from a work the Events that are beyond their namespace's share, or that nothing would take.
    fn share(&mut self, target: &Target, work: &mut Work, now_ms: u64) {
        match work {
            Work::Slices { .. } | Work::Policy(..) => {}
            Work::Entry(..) | Work::RemoveEntry(..) => {
                if let Target::Entry(key) = target {
                    self.entries.spend(key, now_ms);
                }
            }
            Work::Status(.., events) => {
                let all = std::mem::take(events);
                *events = all.into_iter().filter(|_| self.may_tell(target.namespace(), now_ms)).collect();
            }
        }
    }

    fn may_tell(&mut self, namespace: &Name, now_ms: u64) -> bool {
        if self.setbacks.is_ending(namespace) {
            return false;
        }
        if self.tales.wait_ms(namespace, now_ms) > 0 {
            self.untold += 1;
            return false;
        }
        self.tales.spend(namespace, now_ms);
        true
    }

    fn queue_all(&mut self, snapshot: &Snapshot, now_ms: u64) {
        let keys: BTreeSet<_> = snapshot
            .services()
            .map(|service| &service.key)
            .chain(self.observed.services_with_slices())
            .chain(self.observed.entries.keys())
            .cloned()
            .collect();
        let statuses: Vec<_> = self.observed.registrations().cloned().collect();
        for key in keys {
            self.queue_service(&key, snapshot, now_ms);
        }
        for key in statuses {
            self.queue.add(Target::Status(key), now_ms);
        }
        self.told = Arc::default();
    }

    /// Those of which there is something new to tell.
    fn queue_policies(&mut self, snapshot: &Snapshot, now_ms: u64) {
        let told = std::mem::replace(&mut self.told, Arc::clone(snapshot.policies()));
        if Arc::ptr_eq(&told, &self.told) {
            return;
        }
        let is_new =
            |(key, report): &(&PolicyKey, &Arc<Report>)| told.get(key).is_none_or(|told| !Arc::ptr_eq(told, report));
        for (key, _) in snapshot.policies().iter().filter(is_new) {
            let key = ObjectKey { namespace: Name::clone(&key.namespace), name: Name::clone(&key.name) };
            self.queue.add(Target::Policy(key), now_ms);
        }
    }

    fn queue_changes(&mut self, snapshot: &Snapshot, now_ms: u64) {
        match snapshot.changes_since(self.queued) {
            Changes::Services(keys) => {
                for key in keys {
                    self.queue_service(&key, snapshot, now_ms);
                }
            }
            Changes::Resync => self.queue_all(snapshot, now_ms),
        }
    }

    fn queue_service(&mut self, key: &ServiceKey, snapshot: &Snapshot, now_ms: u64) {
        let service = snapshot.get(key);
        if let Some(facts) = service.and_then(|service| service.facts.as_deref()) {
            self.setbacks.met(&key.namespace, &facts.uid);
        }
        let registered = |service: &Arc<Service>| service.endpoints.iter().any(slices::is_written);
        if service.is_some_and(registered) || self.observed.slices(key).next().is_some() {
            self.queue.add(Target::Slices(key.clone()), now_ms);
        }
        self.queue.add(Target::Entry(key.clone()), now_ms);
        self.queue_statuses(key, now_ms);
    }

    fn queue_statuses(&mut self, service: &ServiceKey, now_ms: u64) {
        for key in self.observed.registrations_of(service) {
            self.queue.add(Target::Status(key.clone()), now_ms);
        }
    }

    /// Takes in what stands in the API. What differs from what should stand there is found when its target is planned.
    pub fn observe(&mut self, seen: Seen, now_ms: u64) {
        self.observed.forget(&seen);
        match seen {
            Seen::Slice(key, service, slice) => {
                for service in self.observed.put_slice(&key, service, slice) {
                    self.queue.add(Target::Slices(service), now_ms);
                }
            }
            Seen::SliceGone(key) => {
                for service in self.observed.remove_slice(&key) {
                    self.queue.add(Target::Slices(service), now_ms);
                }
            }
            Seen::Entry(key, entry) => {
                if self.observed.put_entry(key.clone(), entry) {
                    self.queue.add(Target::Entry(key), now_ms);
                }
            }
            Seen::EntryGone(key) => {
                if self.observed.entries.remove(&key).is_some() {
                    self.queue.add(Target::Entry(key), now_ms);
                }
            }
            Seen::Registration(key, seen) => {
                let service = seen.service.clone();
                self.setbacks.met(&key.namespace, &seen.uid.as_str().into());
                if self.observed.put_registration(key.clone(), *seen) {
                    self.queue.add(Target::Status(key), now_ms);
                    self.queue.add(Target::Entry(service), now_ms);
                }
            }
            Seen::RegistrationGone(key) => {
                let target = Target::Status(key.clone());
                self.setbacks.stands(&target);
                self.waited.remove(&target);
                if let Some(service) = self.observed.remove_registration(&key) {
                    self.queue.add(Target::Entry(service), now_ms);
                }
            }
            Seen::Policy(key, seen) => {
                if self.observed.put_policy(key.clone(), seen) {
                    self.queue.add(Target::Policy(key), now_ms);
                }
            }
            Seen::PolicyGone(key) => {
                self.setbacks.stands(&Target::Policy(key.clone()));
                self.observed.policies.remove(&key);
            }
            Seen::Unreadable(key, seen) => {
                if self.observed.put_unreadable(key.clone(), *seen) {
                    self.queue.add(Target::Status(key), now_ms);
                }
            }
            Seen::Synced(source) => {
                self.unseen.remove(&source);
            }
        }
    }

    /// Targets that are due or wait after a failure.
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// Targets being written.
    pub fn busy(&self) -> usize {
        self.queue.busy()
    }

    /// For how many milliseconds the oldest change has been waiting to be written.
    pub fn oldest_ms(&self, now_ms: u64) -> u64 {
        self.queue.oldest_ms(now_ms)
    }

    /// Objects that the API server refuses as they are.
    pub fn refusals(&self) -> usize {
        self.setbacks.len()
    }

    /// Events that were beyond their namespace's share.
    pub fn untold(&self) -> u64 {
        self.untold
    }
}

#[cfg(test)]
mod tests;
