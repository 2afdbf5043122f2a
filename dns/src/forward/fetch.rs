//! Asking the servers: one after the other for a question, and once for all who have the same question meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::Answer;
use super::cache::Key;
use super::exchange::{self, Failure};
use super::failures::Question;
use super::message::Asked;
use super::upstreams::Upstream;
use super::{Forwarder, TOTAL_TIMEOUT, TRY_TIMEOUT, lock};
use crate::answer::edns::ExtendedError;
use crate::answer::{Foreign, Transport};
use crate::metrics::FailureReason;

/// What became of a question; `None` while it is asked.
pub(super) type Fetched = Option<Result<Arc<Answer>, ExtendedError>>;

/// Questions that are being asked, so that the same one is not asked twice at a time.
#[derive(Debug, Default)]
pub(super) struct Flights {
    of: Mutex<HashMap<Flight, watch::Receiver<Fetched>>>,
}

/// A cut answer is one for UDP alone.
type Flight = (Key, Transport);

// === impl Forwarder ===

impl Forwarder {
    /// Has a question asked, on a task of its own: whoever waits may give up. What is answered is kept.
    pub(super) fn fetch(
        &self,
        foreign: &Arc<Foreign>,
        transport: Transport,
        question: &Question,
        key: Option<&Key>,
    ) -> watch::Receiver<Fetched> {
        let flight = key.filter(|_| self.cache.is_some()).map(|key| (key.clone(), transport));
        let mut flights = lock(&self.flights.of);
        if let Some(under_way) = flight.as_ref().and_then(|flight| flights.get(flight)) {
            self.metrics.forward.cache.coalesced.inc();
            return under_way.clone();
        }
        let (tell, told) = watch::channel(None);
        if let Some(flight) = &flight {
            flights.insert(flight.clone(), told.clone());
        }
        drop(flights);
        let (forwarder, foreign, question) = (self.clone(), Arc::clone(foreign), question.clone());
        self.spawn(async move {
            let result = forwarder.ask(&foreign, transport).await.map(Arc::new);
            let failed = match &result {
                Ok(answer) if answer.rcode() == ResponseCode::ServFail => Some(ExtendedError::CachedError),
                Ok(_) => None,
                Err(error) => Some(*error),
            };
            forwarder.remember(&question, failed);
            if let Some((key, transport)) = flight {
                if let Ok(answer) = &result {
                    forwarder.keep(key.clone(), answer);
                }
                lock(&forwarder.flights.of).remove(&(key, transport));
            }
            // Nobody waits any more, perhaps.
            drop(tell.send(Some(result)));
        });
        told
    }

    fn keep(&self, key: Key, answer: &Arc<Answer>) {
        if let Some(cache) = &self.cache {
            let gone = cache.put(key, answer, Instant::now());
            self.metrics.forward.cache.evictions.inc_by(gone);
            self.metrics.forward.cache.holds(cache.size());
        }
    }

    /// Asks one server after the other until one answers to the point. Those that were silent, not those that are known
    /// to fail, get a second try: a datagram may be lost.
    async fn ask(&self, foreign: &Foreign, transport: Transport) -> Result<Answer, ExtendedError> {
        let deadline = Instant::now() + TOTAL_TIMEOUT;
        let upstreams = self.routes.of(&foreign.name);
        let mut candidates = upstreams.map(|upstreams| upstreams.in_order()).unwrap_or_default();
        if candidates.is_empty() {
            // Each leads back here, or has not been looked at yet.
            self.metrics.forward.failed(FailureReason::NoUpstream);
            return Err(ExtendedError::NetworkError);
        }
        let (mut refusal, mut error) = (None, ExtendedError::NoReachableAuthority);
        for _ in 0..2 {
            let mut silent = Vec::new();
            for upstream in candidates {
                let patience = TRY_TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
                if patience.is_zero() {
                    break;
                }
                match self.ask_one(&upstream, foreign, transport, patience).await {
                    Ok(answer) if answer.is_to_the_point() => return Ok(answer),
                    Ok(answer) => refusal = refusal.or(Some(answer)),
                    Err(Failure::Silent) if !upstream.is_held_down() => silent.push(upstream),
                    Err(Failure::Silent) => {}
                    Err(
                        Failure::Unreachable
                        | Failure::Malformed
                        | Failure::NoEdns
                        | Failure::NoSocket
                        | Failure::Doubtful,
                    ) => {
                        error = ExtendedError::NetworkError;
                    }
                }
            }
            if refusal.is_some() {
                break;
            }
            candidates = silent;
        }
        refusal.ok_or(error)
    }

    async fn ask_one(
        &self,
        upstream: &Upstream,
        foreign: &Foreign,
        transport: Transport,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        let begin = Instant::now();
        let result = self.exchange(upstream, foreign, transport, begin + patience).await;
        self.metrics.forward.asked(upstream.addr, begin.elapsed(), result.is_ok());
        match &result {
            Ok(_) => upstream.answered(),
            Err(failure) => {
                self.metrics.forward.failed(FailureReason::from(*failure));
                // That this machine has no socket left says nothing about the server.
                if *failure != Failure::NoSocket && upstream.failed(*failure) {
                    tracing::warn!(upstream = %upstream.addr, ?failure, "held down until it answers again");
                }
            }
        }
        result
    }

    async fn exchange(
        &self,
        upstream: &Upstream,
        foreign: &Foreign,
        transport: Transport,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        if let Some(channel) = &upstream.channel {
            let asked = Asked::new(&self.ids, &foreign.query, &foreign.name).padded();
            return channel.ask(&asked, deadline).await;
        }
        let mut refused_once = false;
        loop {
            let (asked, result) = self.by_udp(upstream, foreign, deadline).await;
            let answer = match result {
                // Nobody else gets a word in there.
                Err(Failure::Doubtful) => {
                    let answer = exchange::tcp(upstream.addr, &asked, deadline).await;
                    upstream.bears.answered_on_stream(&asked, answer.as_ref().ok());
                    answer?
                }
                other => other?,
            };
            let again = upstream.bears.learn(&asked, &answer, Instant::now());
            if again && !refused_once {
                refused_once = true;
                continue;
            }
            // Who asks over UDP is told so and comes back over TCP. A cookie that is refused twice is of no use there.
            let is_cut = answer.is_truncated() && transport == Transport::Tcp;
            return Ok(if is_cut || again {
                self.whole(upstream.addr, &asked, deadline, answer).await
            } else {
                answer
            });
        }
    }

    /// By UDP, with what proves the answer and is borne; without OPT where the server knows none.
    async fn by_udp(
        &self,
        upstream: &Upstream,
        foreign: &Foreign,
        deadline: Instant,
    ) -> (Asked, Result<Answer, Failure>) {
        let (ids, query, name) = (&self.ids, &foreign.query, &foreign.name);
        let stranger = || self.metrics.forward.failed(FailureReason::Stranger);
        let proof = upstream.bears.proof(self.wanted, Instant::now());
        let asked = Asked::new(ids, query, name).proven_by(proof.clone(), ids);
        let result = exchange::udp(upstream.addr, &asked, deadline, stranger).await;
        match result {
            Err(Failure::NoEdns) => {
                let asked = Asked::without_edns(ids, query, name).proven_by(proof, ids);
                let result = exchange::udp(upstream.addr, &asked, deadline, stranger).await;
                (asked, result)
            }
            Err(Failure::Silent) => {
                upstream.bears.was_silent(&asked);
                (asked, result)
            }
            other => (asked, other),
        }
    }

    /// The answer by TCP, or the cut one where TCP does not get through: that server does answer.
    async fn whole(&self, server: std::net::SocketAddr, asked: &Asked, deadline: Instant, cut: Answer) -> Answer {
        let whole = exchange::tcp(server, asked, deadline).await;
        whole.unwrap_or_else(|failure| {
            self.metrics.forward.failed(FailureReason::from(failure));
            cut
        })
    }
}
