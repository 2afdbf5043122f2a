//! The loop of the write-back. Every replica runs it and knows what should be written; the leader writes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rollcall_admin::LogRate;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::apply::{Applier, Done, Failure};
use super::desk::{Desk, Now, Word};
use super::metrics::Metrics;
use super::observed::Seen;
use super::queue::Target;
use crate::evictions::Evictions;
use crate::time::clock::Clock;
use crate::writer::Snapshots;

/// Lines about writes that failed.
static FAILED: LogRate = LogRate::new(20, Duration::from_secs(5));
/// Lines about writes that were refused.
static REFUSED: LogRate = LogRate::new(20, Duration::from_secs(5));

/// The write-back, before it runs: a desk that decides, and what it does not have: time, tasks and the network.
pub struct WriteBack {
    snapshots: Snapshots,
    seen: mpsc::Receiver<Seen>,
    applier: Applier,
    clock: Clock,
    metrics: Arc<Metrics>,
    desk: Desk,
    running: JoinSet<(Target, Done)>,
    evictions: Evictions,
}

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
        let desk = Desk::new(writes_per_second);
        Self {
            snapshots,
            seen,
            applier,
            clock,
            metrics,
            desk,
            running: JoinSet::new(),
            evictions: Evictions::default(),
        }
    }

    /// The same, telling what was written to who measures evictions.
    #[must_use]
    pub fn telling(self, evictions: Evictions) -> Self {
        Self { evictions, ..self }
    }

    /// Writes until the watches are gone.
    pub async fn run(mut self) {
        let mut fence = self.applier.fence.clone();
        let mut batch = Vec::new();
        loop {
            let pause = self.desk.pause(self.clock.monotonic_ms());
            tokio::select! {
                count = self.seen.recv_many(&mut batch, 1024) => {
                    if count == 0 {
                        return;
                    }
                    let now_ms = self.clock.monotonic_ms();
                    batch.drain(..).for_each(|seen| self.desk.observe(seen, now_ms));
                }
                changed = self.snapshots.changed() => if changed.is_err() { return },
                changed = fence.changed() => if changed.is_err() { return },
                Some(finished) = self.running.join_next() => {
                    if let Ok((target, done)) = finished {
                        self.finished(target, done);
                    }
                }
                () = tokio::time::sleep(pause) => {}
            }
            self.work();
            self.measure();
        }
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.clock.monotonic_ms(), wall: self.clock.timestamp() }
    }

    /// Starts what is to be written now.
    fn work(&mut self) {
        let Some(snapshot) = self.snapshots.borrow_and_update().clone() else { return };
        for (target, work) in self.desk.work(&snapshot, self.applier.fence.term(), self.now()) {
            let applier = self.applier.clone();
            self.running.spawn(async move { (target, applier.run(work).await) });
        }
    }

    fn finished(&mut self, target: Target, done: Done) {
        self.metrics.written(target.kind(), "written", done.seen.len());
        if let Target::Slices(service) = &target
            && !done.written.is_empty()
        {
            self.evictions.written(service);
        }
        for failed in &done.failures {
            self.metrics.written(target.kind(), failed.failure.kind(), 1);
            if let Failure::Kube(error) = &failed.failure
                && self.applier.denials.told(error)
            {
                debug!(%target, "not written for want of a right");
            }
        }
        let snapshot = self.snapshots.borrow().clone();
        let (words, events) = self.desk.finished(target, done, snapshot.as_deref(), self.now());
        for word in words {
            match word {
                Word::Quiet(said) => debug!("{said}: looking again"),
                Word::Failed(said) => say(&FAILED, &said, "write failed; trying again"),
                Word::Refused(said) => {
                    say(&REFUSED, &said, "write refused; it is tried again when it changes, and now and then");
                }
            }
        }
        if !events.is_empty() {
            let applier = self.applier.clone();
            tokio::spawn(async move { applier.publish(events).await });
        }
    }

    fn measure(&self) {
        let metrics = &self.metrics;
        metrics.depth.store(self.desk.depth() as u64, Relaxed);
        metrics.busy.store(self.desk.busy() as u64, Relaxed);
        metrics.refusals.store(self.desk.refusals() as u64, Relaxed);
        metrics.oldest_ms.store(self.desk.oldest_ms(self.clock.monotonic_ms()), Relaxed);
        metrics.untold.store(self.desk.untold(), Relaxed);
    }
}

/// A webhook that is away, or a quota, meets all objects of a namespace at once.
fn say(rate: &LogRate, what: &str, outcome: &'static str) {
    if let Some(unsaid) = rate.permit() {
        warn!(unsaid, "{what}: {outcome}");
    }
}

#[cfg(test)]
mod tests;
