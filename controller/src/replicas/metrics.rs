//! What is measured about the replicas among themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::registry::Registry;
use rollcall_admin::page;
use rollcall_catalog::model::Name;
use rollcall_health::membership::Standing;

use crate::time::clock::Clock;

/// What is known of the other replicas. Clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    live: usize,
    heard: usize,
    heard_ms: BTreeMap<Name, u64>,
}

// === impl Metrics ===

impl Metrics {
    /// Of one that knows nobody.
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Arc::new(Mutex::new(State { live: 1, ..State::default() })) }
    }

    /// Registers `rollcall_replicas_…`.
    pub fn register(&self, registry: &mut Registry) {
        let metrics = self.clone();
        page::register(registry, move |page| {
            let (live, heard, silence_ms) = metrics.read();
            page.gauge(
                "rollcall_replicas_live",
                "Replicas that share the checks, as this one sees it, itself included. The same everywhere, but for seconds after one came or went; those that suspect themselves are not counted.",
                live as f64,
            )?;
            page.gauge(
                "rollcall_replicas_heard",
                "Other replicas whose streams bring what they say. One less than there are; fewer while a network policy or a fault is between them.",
                heard as f64,
            )?;
            page.gauge(
                "rollcall_replicas_silence_seconds",
                "Time since the other replica that was heard longest ago said something. Each speaks twice a second: below 1 is normal, above 3 its checks are taken over.",
                silence_ms as f64 / 1_000.0,
            )
        });
    }

    pub(super) fn stand(&self, standing: &Standing) {
        let mut state = self.lock();
        (state.live, state.heard) = (standing.live.len(), standing.heard.len());
    }

    pub(super) fn heard(&self, from: &Name, now_ms: u64) {
        self.lock().heard_ms.insert(Name::clone(from), now_ms);
    }

    pub(super) fn gone(&self, from: &Name) {
        self.lock().heard_ms.remove(from);
    }

    fn read(&self) -> (usize, usize, u64) {
        let (state, now_ms) = (self.lock(), self.clock.monotonic_ms());
        let oldest_ms = state.heard_ms.values().min().copied().unwrap_or(now_ms);
        (state.live, state.heard, now_ms.saturating_sub(oldest_ms))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
