//! What the registrar has to tell one agent: the newest state of each instance, until the agent's stream takes it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::desk::{News, State};

/// News for one agent. Bounded by its instances: what was not taken yet is replaced.
#[derive(Debug, Default)]
pub struct Outbox {
    states: Mutex<BTreeMap<(u32, u32), State>>,
    changed: Notify,
}

// === impl Outbox ===

impl Outbox {
    /// Puts something in.
    pub fn put(&self, News { seat, state }: News) {
        let mut states = self.states();
        // What is about an earlier Hello interests nobody.
        states.retain(|(revision, _), _| *revision >= seat.revision);
        states.insert((seat.revision, seat.index), state);
        drop(states);
        self.changed.notify_one();
    }

    /// Waits until there is something, and takes it all: the revision and the index of each instance, and its state.
    pub async fn take(&self) -> BTreeMap<(u32, u32), State> {
        loop {
            let states = std::mem::take(&mut *self.states());
            if !states.is_empty() {
                return states;
            }
            self.changed.notified().await;
        }
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<(u32, u32), State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
