//! Answers that are kept, given for questions as they lie in queries: by copying bytes, as the names of the catalog are.

use std::sync::Arc;

use tokio::time::Instant;

use super::answer::Age;
use super::cache::{Cache, Kept};
use crate::answer::Transport;
use crate::answer::kept::{Client, Gives};
use crate::metrics::Metrics;

/// The answers.
#[derive(Clone, Debug)]
pub struct AtHand {
    cache: Arc<Cache>,
    metrics: Arc<Metrics>,
}

// === impl AtHand ===

impl AtHand {
    /// Those of a cache.
    pub fn new(cache: Arc<Cache>, metrics: Arc<Metrics>) -> Self {
        Self { cache, metrics }
    }
}

impl Gives for AtHand {
    /// More is to be done where it ends soon, or cannot be told this client.
    fn give(&self, key: &[u8], client: &Client<'_>, transport: Transport, out: &mut Vec<u8>) -> bool {
        let begin = Instant::now();
        let Kept::Fresh(entry) = self.cache.get(key, begin) else { return false };
        if entry.ends_soon(begin) {
            return false;
        }
        let Ok(rcode) = entry.answer.relay(client, transport, Age::Kept(entry.age_s(begin)), out) else {
            out.clear();
            return false;
        };
        self.metrics.forward.cache.hits.inc();
        self.metrics.forward.answered(transport, rcode, begin.elapsed());
        true
    }
}

#[cfg(test)]
mod tests;
