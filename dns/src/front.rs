//! Sockets and connections: where queries come in.
//!
//! - [`bind`]: the addresses, and what to do when one cannot be had
//! - [`udp`]: one socket for each worker; [`batch`]: many datagrams in one system call, [`bundles`]: or in one packet
//! - [`tcp`]: connections with limits; any byte stream will do, such as one of [`tls`]
//! - [`http`]: queries over HTTP/2, by two protocols
//! - `inbound`: messages as they come on a stream
//! - [`seats`]: how many connections there may be, and which one goes for a further one
//! - [`clients`]: how clients are treated
//! - [`rates`]: how many answers a network gets over UDP
//! - [`Responder`]: what all of them share: a query in, the answer out, counted

mod batch;
pub mod bind;
mod bundles;
pub mod clients;
pub mod http;
mod inbound;
pub mod rates;
pub mod seats;
pub mod tcp;
pub mod tls;
pub mod udp;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tokio::time::Instant;

use crate::answer::edns::padding::is_padded;
use crate::answer::kept::Gives;
use crate::answer::transfer::Transfer;
use crate::answer::{Asker, Foreign, Manner, Outcome, Outside, Summary, Transport, answer, cut};
use crate::clock;
use crate::forward::Forwarder;
use crate::metrics::{DropReason, Metrics, Tally};
use crate::observe::{self, Observer};
use crate::zone::{Rng, Zone};
use rates::{Rates, Turn};

/// Answers queries and counts them. Clones share the zone and the metrics, and have their own randomness.
#[derive(Debug)]
pub struct Responder {
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    rng: Rng,
    tally: Tally,
    forwarder: Option<Forwarder>,
    manner: Manner,
    rates: Option<Arc<Rates>>,
    observer: Option<Arc<Observer>>,
    /// Queries so far.
    turn: u32,
    /// Of the queries that came together, in seconds since the epoch.
    now_s: u32,
    is_over_tls: bool,
}

/// What is to be done about a query.
#[derive(Debug)]
enum Reply {
    /// The answer is there.
    Answer,
    /// Others are asked.
    Forward(Forwarder, Box<Foreign>),
    /// The answer is several messages, which [`Responder::write_next`] writes.
    Transfer(Box<Transfer>),
    /// Nothing.
    None,
}

// === impl Responder ===

impl Responder {
    /// A responder for a zone.
    pub fn new(zone: Arc<Zone>, metrics: Arc<Metrics>) -> Self {
        let (mut rng, tally, manner) = (Rng::from_entropy(), Tally::default(), Outside::Refused.into());
        // Anywhere: a clone for a single query is as often the one that is counted as any other.
        let turn = rng.places(observe::SAMPLED as usize, 1).first().map_or(0, |turn| *turn as u32);
        Self {
            zone,
            metrics,
            rng,
            tally,
            forwarder: None,
            manner,
            rates: None,
            observer: None,
            turn,
            now_s: 0,
            is_over_tls: false,
        }
    }

    /// Has names outside of the zone answered by others, if there are any.
    pub fn forwarding(self, forwarder: Option<Forwarder>) -> Self {
        let outside = if forwarder.is_some() { Outside::Forwarded } else { Outside::Refused };
        let kept = forwarder.as_ref().and_then(Forwarder::at_hand).map(|kept| Arc::new(kept) as Arc<dyn Gives>);
        Self { forwarder, manner: Manner { outside, kept, ..self.manner }, ..self }
    }

    /// Answers over TLS, where padded queries have padded answers.
    pub(crate) fn over_tls(self) -> Self {
        Self { is_over_tls: true, ..self }
    }

    /// Whether the answer to a query is to be padded.
    fn pads(&self, query: &[u8]) -> bool {
        self.is_over_tls && is_padded(query)
    }

    /// Treats clients like this; what becomes of other names stays.
    pub fn treating(self, manner: Manner, rates: Option<Arc<Rates>>) -> Self {
        let (outside, kept) = (self.manner.outside, self.manner.kept.clone());
        Self { manner: Manner { outside, kept, ..manner }, rates, ..self }
    }

    /// Tells `observer` what is asked.
    pub fn observed(self, observer: Option<Arc<Observer>>) -> Self {
        Self { observer, ..self }
    }

    /// Writes the answer to `query` into `out`, which is cleared first, or says what else to do.
    fn respond(&mut self, query: &[u8], transport: Transport, from: IpAddr, out: &mut Vec<u8>) -> Reply {
        let begin = self.begin();
        let reply = self.reply(query, transport, from, out);
        self.tell(transport, begin.elapsed());
        reply
    }

    /// Queries have come: when.
    fn begin(&mut self) -> Instant {
        self.now_s = clock::since_epoch().as_secs() as u32; // serial numbers, which wrap (RFC 9018 §4.3)
        Instant::now()
    }

    /// As [`Self::respond`], for one of several that are [told](Self::tell) together.
    fn reply(&mut self, query: &[u8], transport: Transport, from: IpAddr, out: &mut Vec<u8>) -> Reply {
        let asker = Asker { transport, from, now_s: self.now_s };
        let outcome = answer(query, &asker, &self.zone, &self.manner, &mut self.rng, out);
        if let Some(observer) = &self.observer {
            self.turn = self.turn.wrapping_add(1);
            let answer = matches!(outcome, Outcome::Answered(_)).then_some(&**out);
            observer.saw(query, answer, &asker, self.turn);
        }
        match (outcome, &self.forwarder) {
            (Outcome::Answered(summary), _) if self.is_too_many(&asker, summary, out) => Reply::None,
            (Outcome::Answered(summary), _) => {
                if !self.tally.add(transport, summary) {
                    self.metrics.answered(transport, summary, Duration::ZERO);
                }
                Reply::Answer
            }
            (Outcome::Kept, _) => Reply::Answer,
            (Outcome::Foreign(foreign), Some(forwarder)) => Reply::Forward(forwarder.clone(), foreign),
            (Outcome::Transfer(transfer), _) => {
                let rtype = Some(RecordType::AXFR);
                let summary = Summary { rtype, rcode: ResponseCode::NoError, truncated: false, known_client: false };
                self.metrics.answered(transport, summary, Duration::ZERO);
                Reply::Transfer(transfer)
            }
            (Outcome::Foreign(_), None) | (Outcome::Ignored, _) => {
                self.metrics.dropped(transport, DropReason::NotAQuery);
                Reply::None
            }
        }
    }

    /// Writes the next message of a transfer into `out`; false when there is none any more.
    fn write_next(&mut self, transfer: &mut Transfer, out: &mut Vec<u8>) -> bool {
        transfer.next(&self.zone, &mut self.rng, out)
    }

    /// Whether an answer is not to be sent, as its client has had too many; it may be cut, too.
    fn is_too_many(&self, asker: &Asker, summary: Summary, out: &mut Vec<u8>) -> bool {
        let Some(rates) = &self.rates else { return false };
        // Over TCP, or with a cookie, nobody has another's address.
        if asker.transport != Transport::Udp || summary.known_client {
            return false;
        }
        let turn = rates.take(asker.from, Instant::now());
        if turn != Turn::Sent {
            self.metrics.dropped(asker.transport, DropReason::RateLimited);
        }
        if turn == Turn::Cut {
            cut(out);
        }
        turn == Turn::Dropped
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
        let own = Self::new(Arc::clone(&self.zone), Arc::clone(&self.metrics))
            .forwarding(self.forwarder.clone())
            .treating(self.manner.clone(), self.rates.clone())
            .observed(self.observer.clone());
        Self { is_over_tls: self.is_over_tls, ..own }
    }
}
