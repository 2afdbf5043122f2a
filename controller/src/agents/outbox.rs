//! What others have to tell one agent: the registrar the newest state of each instance, the checks what it is asked, until the agent's
//! stream takes it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rollcall_xds::proto::rollcall::v1::Probe;
use tokio::sync::Notify;

use super::desk::{News, State};
use crate::checks::lookouts::Desk;

/// News for one agent. Bounded by its instances: what was not taken yet is replaced.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

/// What an agent's stream has not taken yet.
#[derive(Debug, Default)]
pub struct Waiting {
    /// By the revision and the index of the instance.
    pub states: BTreeMap<(u32, u32), State>,
    /// Whether it reaches these.
    pub probes: Vec<Probe>,
}

/// Questions that may wait. There is no room for a further one, and whoever asks does without.
const PROBES_MAX: usize = 64;

// === impl Outbox ===

impl Desk for Outbox {
    fn ask(&self, probe: Probe) -> bool {
        let mut waiting = self.waiting();
        let has_room = waiting.probes.len() < PROBES_MAX;
        if has_room {
            waiting.probes.push(probe);
        }
        drop(waiting);
        self.changed.notify_one();
        has_room
    }
}

impl Outbox {
    /// Puts something in.
    pub fn put(&self, News { seat, state }: News) {
        let mut waiting = self.waiting();
        // What is about an earlier Hello interests nobody.
        waiting.states.retain(|(revision, _), _| *revision >= seat.revision);
        waiting.states.insert((seat.revision, seat.index), state);
        drop(waiting);
        self.changed.notify_one();
    }

    /// Waits until there is something, and takes it all.
    pub async fn take(&self) -> Waiting {
        loop {
            let waiting = std::mem::take(&mut *self.waiting());
            if !waiting.states.is_empty() || !waiting.probes.is_empty() {
                return waiting;
            }
            self.changed.notified().await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
