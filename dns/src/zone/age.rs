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
    /// What is known is from a file.
    restored: AtomicBool,
}

// === impl Zone ===

impl Zone {
    /// There is a stream: what is known is of now, but for what is from a file.
    pub fn connected(&self) {
        if self.is_restored() {
            return;
        }
        self.age.lost.store(false, Relaxed);
        self.age.seconds.store(0, Relaxed);
    }

    /// The stream is lost: what is known grows older from here.
    pub fn disconnected(&self) {
        self.age.lost.store(true, Relaxed);
    }

    /// What is known is from a file that was right so many seconds before.
    pub fn restored(&self, seconds: u64) {
        self.age.restored.store(true, Relaxed);
        self.age.lost.store(true, Relaxed);
        self.age.seconds.store(seconds, Relaxed);
    }

    /// A stream has brought what a file did not know: what is known is of now.
    pub fn caught_up(&self) {
        self.age.restored.store(false, Relaxed);
        self.connected();
    }

    /// Whether what is known is from a file. Every answer from it says that it may be stale.
    pub fn is_restored(&self) -> bool {
        self.age.restored.load(Relaxed)
    }

    /// For how many seconds there has been no stream; 0 while there is one.
    pub fn age_s(&self) -> u64 {
        self.age.seconds.load(Relaxed)
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
