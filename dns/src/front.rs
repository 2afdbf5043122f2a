//! Sockets and connections: where queries come in.
//!
//! - [`bind`]: the addresses, and what to do when one cannot be had
//! - [`udp`]: one socket for each worker, drained in batches
//! - [`tcp`]: connections with limits; any byte stream will do, so TLS can be put below it
//! - `inbound`: messages as they come on a stream
//! - [`seats`]: how many connections there may be, and which one goes for a further one
//! - [`Responder`]: what all of them share: a query in, the answer out, counted

pub mod bind;
mod inbound;
pub mod seats;
pub mod tcp;
pub mod udp;

use std::sync::Arc;

use tokio::time::Instant;

use crate::answer::{Foreign, Outcome, Outside, Transport, answer};
use crate::forward::Forwarder;
use crate::metrics::{DropReason, Metrics};
use crate::zone::{Rng, Zone};

/// Answers queries and counts them. Clones share the zone and the metrics, and have their own randomness.
#[derive(Debug)]
pub struct Responder {
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    rng: Rng,
    forwarder: Option<Forwarder>,
}

/// What is to be done about a query.
#[derive(Debug)]
enum Reply {
    /// The answer is there.
    Answer,
    /// Others are asked.
    Forward(Forwarder, Box<Foreign>),
    /// Nothing.
    None,
}

// === impl Responder ===

impl Responder {
    /// A responder for a zone.
    pub fn new(zone: Arc<Zone>, metrics: Arc<Metrics>) -> Self {
        Self { zone, metrics, rng: Rng::from_entropy(), forwarder: None }
    }

    /// Has names outside of the zone answered by others, if there are any.
    pub fn forwarding(self, forwarder: Option<Forwarder>) -> Self {
        Self { forwarder, ..self }
    }

    /// Writes the answer to `query` into `out`, which is cleared first, or says what else to do.
    fn respond(&mut self, query: &[u8], transport: Transport, out: &mut Vec<u8>) -> Reply {
        let begin = Instant::now();
        let outside = if self.forwarder.is_some() { Outside::Forwarded } else { Outside::Refused };
        let outcome = answer(query, transport, &self.zone, outside, &mut self.rng, out);
        match (outcome, &self.forwarder) {
            (Outcome::Answered(summary), _) => {
                self.metrics.answered(transport, summary, begin.elapsed());
                Reply::Answer
            }
            (Outcome::Foreign(foreign), Some(forwarder)) => Reply::Forward(forwarder.clone(), foreign),
            (Outcome::Foreign(_), None) | (Outcome::Ignored, _) => {
                self.metrics.dropped(transport, DropReason::NotAQuery);
                Reply::None
            }
        }
    }
}

impl Clone for Responder {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.zone), Arc::clone(&self.metrics)).forwarding(self.forwarder.clone())
    }
}
