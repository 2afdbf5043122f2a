//! How old what is answered is: the age of the stream, against the bound that came with a service.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::Zone;
use super::model::WhenStale;
use super::record::Record;

/// For how long there has been no stream.
#[derive(Debug, Default)]
pub(super) struct Age {
    lost: AtomicBool,
    seconds: AtomicU64,
}

// === impl Zone ===

impl Zone {
    /// There is a stream: what is known is of now.
    pub fn connected(&self) {
        self.age.lost.store(false, Relaxed);
        self.age.seconds.store(0, Relaxed);
    }

    /// The stream is lost: what is known grows older from here.
    pub fn disconnected(&self) {
        self.age.lost.store(true, Relaxed);
    }

    /// So many seconds have passed.
    pub fn grow_older(&self, seconds: u64) {
        if self.age.lost.load(Relaxed) {
            self.age.seconds.fetch_add(seconds, Relaxed);
        }
    }

    /// How an answer about a service is to be given because of its age; `None` while it is young, or has no bound.
    pub(super) fn stale(&self, record: &Record) -> Option<WhenStale> {
        let staleness = record.staleness()?;
        let is_old = self.age.lost.load(Relaxed) && self.age.seconds.load(Relaxed) >= staleness.after_s;
        (staleness.at_source || is_old).then_some(staleness.then)
    }
}
