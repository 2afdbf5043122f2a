//! Sockets and connections: where queries come in.
//!
//! - [`bind`]: the addresses, and what to do when one cannot be had
//! - [`udp`]: one socket for each worker, drained in batches
//! - [`tcp`]: connections with limits; any byte stream will do, so TLS can be put below it
//! - [`Responder`]: what all of them share: a query in, the answer out, counted

pub mod bind;
pub mod tcp;
pub mod udp;

use std::sync::Arc;

use tokio::time::Instant;

use crate::answer::{Transport, answer};
use crate::metrics::{DropReason, Metrics};
use crate::zone::{Rng, Zone};

/// Answers queries and counts them. Clones share the zone and the metrics, and have their own randomness.
#[derive(Debug)]
pub struct Responder {
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    rng: Rng,
}

// === impl Responder ===

impl Responder {
    /// A responder for a zone.
    pub fn new(zone: Arc<Zone>, metrics: Arc<Metrics>) -> Self {
        Self { zone, metrics, rng: Rng::from_entropy() }
    }

    /// Writes the answer to `query` into `out`, which is cleared first. Returns whether there is one.
    fn respond(&mut self, query: &[u8], transport: Transport, out: &mut Vec<u8>) -> bool {
        let begin = Instant::now();
        let summary = answer(query, transport, &self.zone, &mut self.rng, out);
        match summary {
            Some(summary) => self.metrics.answered(transport, summary, begin.elapsed()),
            None => self.metrics.dropped(transport, DropReason::NotAQuery),
        }
        summary.is_some()
    }
}

impl Clone for Responder {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.zone), Arc::clone(&self.metrics))
    }
}
