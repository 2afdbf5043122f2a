//! The loop of the write-back. Every replica runs it and knows what should be written; the leader writes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rollcall_catalog::Snapshot;
use rollcall_catalog::input::OriginKind;
use rollcall_catalog::model::ServiceKey;
use rollcall_catalog::service::Service;
use rollcall_catalog::snapshot::{Changes, Revision};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::apply::{Applier, Failure};
use super::budget::Budget;
use super::metrics::Metrics;
use super::observed::{Observed, Seen};
use super::plan::Planner;
use super::queue::{Queue, Target};
use crate::kubernetes::freshness::Source;
use crate::kubernetes::kube_error::words;
use crate::time::clock::Clock;
use crate::writer::Snapshots;

/// The write-back, before it runs.
pub struct WriteBack {
    snapshots: Snapshots,
    seen: mpsc::Receiver<Seen>,
    applier: Applier,
    clock: Clock,
    metrics: Arc<Metrics>,
    observed: Observed,
    queue: Queue,
    budget: Budget,
    running: JoinSet<Finished>,
    /// What has not been listed yet.
    unseen: BTreeSet<Source>,
    /// The revision up to which changes are queued.
    queued: Revision,
    /// The term for which everything has been looked at once.
    term: Option<i32>,
    /// Services whose slices the API server refused, with its words.
    refused: HashMap<ServiceKey, String>,
}

struct Finished {
    target: Target,
    seen: Vec<Seen>,
    result: Result<(), Failure>,
}

/// Targets written at once at most.
const BUSY_MAX: usize = 16;
// === impl WriteBack ===

impl WriteBack {
    /// A write-back that makes at most `writes_per_second` writes.
    pub fn new(
        snapshots: Snapshots,
        seen: mpsc::Receiver<Seen>,
        applier: Applier,
        clock: Clock,
        metrics: Arc<Metrics>,
        writes_per_second: u32,
    ) -> Self {
        Self {
            snapshots,
            seen,
            applier,
            clock,
            metrics,
            observed: Observed::default(),
            queue: Queue::default(),
            budget: Budget::new(writes_per_second),
            running: JoinSet::new(),
            unseen: [Source::EndpointSlices, Source::ServiceRegistrations, Source::CatalogEntries].into(),
            queued: Revision::default(),
            term: None,
            refused: HashMap::new(),
        }
    }

    /// Writes until the watches are gone.
    pub async fn run(mut self) {
        let mut fence = self.applier.fence.clone();
        let mut batch = Vec::new();
        loop {
            let pause = self.pause();
            tokio::select! {
                count = self.seen.recv_many(&mut batch, 1024) => {
                    if count == 0 {
                        return;
                    }
                    for seen in batch.drain(..) {
                        self.observe(seen);
                    }
                }
                changed = self.snapshots.changed() => if changed.is_err() { return },
                changed = fence.changed() => if changed.is_err() { return },
                Some(finished) = self.running.join_next() => {
                    if let Ok(finished) = finished {
                        self.finished(finished);
                    }
                }
                () = tokio::time::sleep(pause) => {}
            }
            self.work();
            self.metrics.depth.store(self.queue.depth() as u64, Relaxed);
            self.metrics.busy.store(self.queue.busy() as u64, Relaxed);
        }
    }

    /// How long nothing has to be done, if nothing happens.
    fn pause(&mut self) -> Duration {
        const IDLE_MS: u64 = 1000;
        let now_ms = self.clock.monotonic_ms();
        let mut pause_ms = self.queue.next_due_ms(now_ms).unwrap_or(IDLE_MS).min(IDLE_MS);
        if self.queue.has_due() && self.running.len() < BUSY_MAX && self.term.is_some() {
            pause_ms = pause_ms.min(self.budget.wait_ms());
        }
        Duration::from_millis(pause_ms.max(1))
    }

    /// Queues what changed, and starts what is due as far as the budget goes.
    fn work(&mut self) {
        let Some(snapshot) = self.snapshots.borrow_and_update().clone() else { return };
        if !self.unseen.is_empty() {
            return;
        }
        let term = self.applier.fence.term();
        if term.is_none() {
            self.term = None;
            self.queue.clear();
            return;
        }
        if self.term != term {
            self.term = term;
            self.queue_all(&snapshot);
        } else {
            self.queue_changes(&snapshot);
        }
        self.queued = snapshot.revision();
        self.start_due(&snapshot);
    }

    fn start_due(&mut self, snapshot: &Snapshot) {
        let now_ms = self.clock.monotonic_ms();
        while self.running.len() < BUSY_MAX && self.budget.has_token(now_ms) {
            let Some(target) = self.queue.pop(now_ms) else { return };
            if self.waits_for_slices(&target) {
                self.queue.done(target);
                continue;
            }
            let planner = Planner { observed: &self.observed, refused: &self.refused, snapshot };
            let Some(work) = planner.plan(&target, self.clock.timestamp()) else {
                self.stands(&target);
                self.queue.done(target);
                continue;
            };
            self.budget.spend(work.writes());
            let applier = self.applier.clone();
            self.running.spawn(async move {
                let mut seen = Vec::new();
                let result = applier.run(work, &mut seen).await;
                Finished { target, seen, result }
            });
        }
    }

    /// A target stands as it should, without a write: what was refused before is not wanted any more.
    fn stands(&mut self, target: &Target) {
        if let Target::Slices(service) = target
            && self.refused.remove(service).is_some()
        {
            self.queue_statuses(service);
        }
    }

    /// A status tells whether the slices stand, so it is written after them; their end queues it again.
    fn waits_for_slices(&self, target: &Target) -> bool {
        let Target::Status(key) = target else { return false };
        let service = self.observed.registration(key).map(|seen| seen.service.clone());
        service.is_some_and(|service| self.queue.is_pending(&Target::Slices(service)))
    }

    fn queue_all(&mut self, snapshot: &Snapshot) {
        let keys: BTreeSet<_> = snapshot
            .services()
            .map(|service| &service.key)
            .chain(self.observed.services_with_slices())
            .chain(self.observed.entries.keys())
            .cloned()
            .collect();
        let statuses: Vec<_> = self.observed.registrations().cloned().collect();
        for key in keys {
            self.queue_service(&key, snapshot);
        }
        for key in statuses {
            self.queue.add(Target::Status(key));
        }
    }

    fn queue_changes(&mut self, snapshot: &Snapshot) {
        match snapshot.changes_since(self.queued) {
            Changes::Services(keys) => {
                for key in keys {
                    self.queue_service(&key, snapshot);
                }
            }
            Changes::Resync => self.queue_all(snapshot),
        }
    }

    fn queue_service(&mut self, key: &ServiceKey, snapshot: &Snapshot) {
        let registered = |service: &Arc<Service>| {
            service.endpoints.iter().any(|member| member.origin.kind == OriginKind::ServiceRegistration)
        };
        if snapshot.get(key).is_some_and(registered) || self.observed.slices(key).next().is_some() {
            self.queue.add(Target::Slices(key.clone()));
        }
        self.queue.add(Target::Entry(key.clone()));
        self.queue_statuses(key);
    }

    fn queue_statuses(&mut self, service: &ServiceKey) {
        for key in self.observed.registrations_of(service) {
            self.queue.add(Target::Status(key.clone()));
        }
    }

    /// Takes in what stands in the API. What differs from what should stand there is found when its target is planned.
    fn observe(&mut self, seen: Seen) {
        match seen {
            Seen::Slice(key, service, stands) => {
                for service in self.observed.put_slice(&key, service, stands) {
                    self.queue.add(Target::Slices(service));
                }
            }
            Seen::SliceGone(key) => {
                for service in self.observed.remove_slice(&key) {
                    self.queue.add(Target::Slices(service));
                }
            }
            Seen::Entry(key, entry) => {
                if self.observed.put_entry(key.clone(), entry) {
                    self.queue.add(Target::Entry(key));
                }
            }
            Seen::EntryGone(key) => {
                if self.observed.entries.remove(&key).is_some() {
                    self.queue.add(Target::Entry(key));
                }
            }
            Seen::Registration(key, seen) => {
                let service = seen.service.clone();
                if self.observed.put_registration(key.clone(), *seen) {
                    self.queue.add(Target::Status(key));
                    self.queue.add(Target::Entry(service));
                }
            }
            Seen::RegistrationGone(key) => {
                if let Some(service) = self.observed.remove_registration(&key) {
                    self.queue.add(Target::Entry(service));
                }
            }
            Seen::Unreadable(key) => self.observed.put_unreadable(key),
            Seen::Synced(source) => {
                self.unseen.remove(&source);
            }
        }
    }

    fn finished(&mut self, finished: Finished) {
        let Finished { target, seen, result } = finished;
        self.metrics.written(target.kind(), "written", seen.len());
        if let Err(failure) = &result {
            self.metrics.written(target.kind(), failure.kind(), 1);
        }
        for seen in seen {
            self.observe(seen);
        }
        if let Target::Slices(service) = &target {
            match &result {
                Ok(()) => self.refused.remove(service),
                Err(Failure::Kube(error @ kube::Error::Api(status))) if is_refusal(status.code) => {
                    self.refused.insert(service.clone(), words(error))
                }
                Err(_) => None,
            };
            self.queue_statuses(service);
        }
        match result {
            Ok(()) => self.queue.done(target),
            Err(Failure::NotLeading) => {
                self.queue.done(target);
                // Should the lease be renewed after all, everything is looked at again.
                self.term = None;
            }
            Err(error) => {
                // A conflict is the fence at work: somebody wrote since, and the watch is about to tell what.
                match &error {
                    Failure::Kube(error) if self.applier.denials.told(error) => {
                        debug!(%target, "not written for want of a right; trying again");
                    }
                    error if error.kind() == "conflict" => debug!(%target, %error, "written over; looking again"),
                    error => warn!(%target, %error, "write failed; trying again"),
                }
                self.queue.failed(target, self.clock.monotonic_ms());
            }
        }
    }
}

/// Whether the object is refused as it is. Who asks, how often and in what turn is another matter.
fn is_refusal(code: u16) -> bool {
    (400..500).contains(&code) && !matches!(code, 401 | 408 | 409 | 429)
}
