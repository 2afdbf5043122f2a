//! Sockets and connections: where queries come in.
//!
//! - [`bind`]: the addresses, and what to do when one cannot be had
//! - [`udp`]: one socket for each worker; [`batch`]: many datagrams in one system call
//! - [`tcp`]: connections with limits; any byte stream will do, so TLS can be put below it
//! - `inbound`: messages as they come on a stream
//! - [`seats`]: how many connections there may be, and which one goes for a further one
//! - [`Responder`]: what all of them share: a query in, the answer out, counted

mod batch;
pub mod bind;
mod inbound;
pub mod seats;
pub mod tcp;
pub mod udp;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::answer::{Foreign, Outcome, Outside, Transport, answer};
use crate::forward::Forwarder;
use crate::metrics::{DropReason, Metrics, Tally};
use crate::zone::{Rng, Zone};

/// Answers queries and counts them. Clones share the zone and the metrics, and have their own randomness.
#[derive(Debug)]
pub struct Responder {
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    rng: Rng,
    tally: Tally,
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
        Self { zone, metrics, rng: Rng::from_entropy(), tally: Tally::default(), forwarder: None }
    }

    /// Has names outside of the zone answered by others, if there are any.
    pub fn forwarding(self, forwarder: Option<Forwarder>) -> Self {
        Self { forwarder, ..self }
    }

    /// Writes the answer to `query` into `out`, which is cleared first, or says what else to do.
    fn respond(&mut self, query: &[u8], transport: Transport, out: &mut Vec<u8>) -> Reply {
        let begin = Instant::now();
        let reply = self.reply(query, transport, out);
        self.tell(transport, begin.elapsed());
        reply
    }

    /// As [`Self::respond`], for one of several that are [told](Self::tell) together.
    fn reply(&mut self, query: &[u8], transport: Transport, out: &mut Vec<u8>) -> Reply {
        let outside = if self.forwarder.is_some() { Outside::Forwarded } else { Outside::Refused };
        let outcome = answer(query, transport, &self.zone, outside, &mut self.rng, out);
        match (outcome, &self.forwarder) {
            (Outcome::Answered(summary), _) => {
                if !self.tally.add(transport, summary) {
                    self.metrics.answered(transport, summary, Duration::ZERO);
                }
                Reply::Answer
            }
            (Outcome::Foreign(foreign), Some(forwarder)) => Reply::Forward(forwarder.clone(), foreign),
            (Outcome::Foreign(_), None) | (Outcome::Ignored, _) => {
                self.metrics.dropped(transport, DropReason::NotAQuery);
                Reply::None
            }
        }
    }

    /// Counts what was answered since the last time, and how long that took.
    fn tell(&mut self, transport: Transport, took: Duration) {
        if self.tally.answers() > 0 {
            self.metrics.told(transport, &mut self.tally, took);
        }
    }
}

impl Clone for Responder {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.zone), Arc::clone(&self.metrics)).forwarding(self.forwarder.clone())
    }
}
