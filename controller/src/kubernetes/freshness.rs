//! How old each watch is: when the API server last answered it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What is watched; which of several of its kind is a [`SourceId`].
pub use rollcall_catalog::source::{SourceId, SourceKind as Source};

use crate::time::clock::Clock;

/// The life of one watch, in counters that metrics and readiness read.
#[derive(Debug)]
pub struct Freshness {
    /// What is watched, and where: the instance is the namespace, none for the whole cluster.
    pub id: SourceId,
    clock: Clock,
    contact_ms: AtomicU64,
    /// Complete lists, the first included.
    pub lists: AtomicU64,
    /// Objects added, changed or removed.
    pub events: AtomicU64,
    /// Requests that failed or broke off.
    pub failures: AtomicU64,
    /// Objects that could not be decoded.
    pub undecodable: AtomicU64,
    /// Objects held.
    pub objects: AtomicU64,
}

// === impl Freshness ===

impl Freshness {
    /// A watch that has not been answered yet.
    pub fn new(id: SourceId, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            id,
            contact_ms: AtomicU64::new(clock.monotonic_ms()),
            clock,
            lists: AtomicU64::new(0),
            events: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            undecodable: AtomicU64::new(0),
            objects: AtomicU64::new(0),
        })
    }

    /// The API server has just answered: with an object, a bookmark, or the regular end of a watch.
    pub fn touch(&self) {
        self.contact_ms.store(self.clock.monotonic_ms(), Relaxed);
    }

    /// When the API server last answered, in milliseconds of the monotonic clock.
    pub fn contact_ms(&self) -> u64 {
        self.contact_ms.load(Relaxed)
    }

    /// Seconds since the API server last answered.
    pub fn age_seconds(&self) -> f64 {
        let age_ms = self.clock.monotonic_ms().saturating_sub(self.contact_ms.load(Relaxed));
        age_ms as f64 / 1000.0
    }
}
