//! Questions for other servers: those for names that are not the cluster's, so that this server can be the one that pods
//! are given.
//!
//! ```text
//!  front --foreign question--> Forwarder --fresh id, fresh port--> upstream
//!    <-----relayed answer----------'                          keeper: resolv.conf, health, loops
//! ```
//!
//! - [`target`], [`resolv_conf`]: who is asked, as operators give it
//! - [`upstreams`]: the servers in force, their order and their health; [`keeper`] keeps them up to date
//! - [`message`]: the question as sent, and what counts as its answer (RFC 5452); [`answer`]: what is passed on; pure
//! - [`exchange`]: one question to one server, over UDP or TCP
//!
//! - [`shares`]: who may have how many of the seats for questions under way
//! - [`failures`]: which questions are not asked again at once
//!
//! No answer is cached: each question is asked again, and TTLs pass through untouched.

pub mod answer;
pub mod exchange;
pub mod failures;
pub mod keeper;
pub mod message;
pub mod resolv_conf;
pub mod shares;
pub mod target;
pub mod upstreams;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::answer::edns::ExtendedError;
use crate::answer::encode::Response;
use crate::answer::{Foreign, Transport};
use crate::metrics::{FailureReason, Metrics};
use answer::Answer;
use exchange::Failure;
use failures::{Failures, Question};
use message::Asked;
use shares::{Seat, Shares, Shortage};
use upstreams::{Upstream, Upstreams};

/// For one server to answer one try.
pub const TRY_TIMEOUT: Duration = Duration::from_secs(2);
/// For all tries of a question: what resolvers wait for an answer (resolv.conf(5), `timeout`).
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Questions under way at once, unless told otherwise. Each holds a socket and about 2 KiB.
pub const IN_FLIGHT_MAX: usize = 1024;

/// Asks other servers. Clones share everything.
#[derive(Clone, Debug)]
pub struct Forwarder {
    upstreams: Arc<Upstreams>,
    shares: Arc<Mutex<Shares>>,
    failures: Arc<Mutex<Failures>>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
}

/// A question that may be asked.
#[derive(Debug)]
pub struct Forwarding {
    forwarder: Forwarder,
    foreign: Box<Foreign>,
    transport: Transport,
    begin: Instant,
    question: Question,
    seat: Option<Seat>,
}

// === impl Forwarder ===

impl Forwarder {
    /// Asks `upstreams`, at most `in_flight_max` questions at once.
    pub fn new(upstreams: Arc<Upstreams>, in_flight_max: usize, metrics: Arc<Metrics>) -> Self {
        let shares = Arc::new(Mutex::new(Shares::new(in_flight_max)));
        Self { upstreams, shares, failures: Arc::default(), metrics, tasks: TaskTracker::new() }
    }

    /// Lets a client's question in, or gives its answer at once.
    pub fn begin(&self, foreign: Box<Foreign>, transport: Transport, client: IpAddr) -> Result<Forwarding, Vec<u8>> {
        let begin = Instant::now();
        if self.upstreams.is_own_question(&foreign.name) {
            return Err(self.refuse(
                &foreign,
                transport,
                ResponseCode::Refused,
                ExtendedError::NotAuthoritative,
                begin,
            ));
        }
        let query = &foreign.query;
        let question = Question::new(&foreign.name, query.question.query_type(), query.header.checking_disabled);
        if let Some(error) = lock(&self.failures).of(&question, self.upstreams.epoch(), begin) {
            self.metrics.forward.failed(FailureReason::Remembered);
            return Err(self.refuse(&foreign, transport, ResponseCode::ServFail, error, begin));
        }
        let seat = match lock(&self.shares).take(client, &foreign.name) {
            Ok(seat) => Some(seat),
            Err(shortage) => {
                self.metrics.forward.failed(FailureReason::from(shortage));
                return Err(self.refuse(&foreign, transport, ResponseCode::ServFail, ExtendedError::Other, begin));
            }
        };
        self.metrics.forward.in_flight.inc();
        Ok(Forwarding { forwarder: self.clone(), foreign, transport, begin, question, seat })
    }

    /// What became of a question, for those who ask it next.
    fn remember(&self, question: &Question, failed: Option<ExtendedError>) {
        let mut failures = lock(&self.failures);
        match failed {
            Some(error) => failures.add(question.clone(), error, self.upstreams.epoch(), Instant::now()),
            None => failures.remove(question),
        }
    }

    /// Runs what waits for an answer; [`Forwarder::finished`] waits for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits until nothing is under way, which takes no longer than [`TOTAL_TIMEOUT`] after the last question.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn refuse(
        &self,
        foreign: &Foreign,
        transport: Transport,
        rcode: ResponseCode,
        error: ExtendedError,
        begin: Instant,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        let response = Response { recursion_available: true, ..foreign.query.response() };
        let summary = response.with_error(rcode, error).write(transport, &mut out);
        self.metrics.forward.answered(transport, summary.rcode, begin.elapsed());
        out
    }

    /// Asks one server after the other until one answers to the point. Those that were silent, not those that are known
    /// to fail, get a second try: a datagram may be lost.
    async fn ask(&self, foreign: &Foreign, transport: Transport) -> Result<Answer, ExtendedError> {
        let deadline = Instant::now() + TOTAL_TIMEOUT;
        let mut candidates = self.upstreams.in_order();
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
                    Err(Failure::Unreachable | Failure::Malformed | Failure::NoEdns | Failure::NoSocket) => {
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
        let result = self.exchange(upstream, foreign, transport, Instant::now() + patience).await;
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
        let stranger = || self.metrics.forward.failed(FailureReason::Stranger);
        let mut asked = Asked::new(&self.upstreams.ids, &foreign.query, &foreign.name);
        let mut result = exchange::udp(upstream.addr, &asked, deadline, stranger).await;
        if matches!(result, Err(Failure::NoEdns)) {
            asked = Asked::without_edns(&self.upstreams.ids, &foreign.query, &foreign.name);
            result = exchange::udp(upstream.addr, &asked, deadline, stranger).await;
        }
        match result {
            // Who asks over UDP is told so and comes back over TCP.
            Ok(cut) if cut.is_truncated() && transport == Transport::Tcp => {
                Ok(self.whole(upstream.addr, &asked, deadline, cut).await)
            }
            other => other,
        }
    }

    /// The answer by TCP, or the cut one where TCP does not get through: that server does answer.
    async fn whole(&self, server: SocketAddr, asked: &Asked, deadline: Instant, cut: Answer) -> Answer {
        let whole = exchange::tcp(server, asked, deadline).await;
        whole.unwrap_or_else(|failure| {
            self.metrics.forward.failed(FailureReason::from(failure));
            cut
        })
    }
}

// === impl Forwarding ===

impl Forwarding {
    /// Asks, and gives the answer to pass on: SERVFAIL within [`TOTAL_TIMEOUT`] when nobody answers.
    pub async fn finish(self) -> Vec<u8> {
        let Self { forwarder, foreign, transport, begin, .. } = &self;
        let mut out = Vec::new();
        let rcode = match forwarder.ask(foreign, *transport).await {
            Ok(answer) => answer.pass_on(foreign, *transport, &mut out),
            Err(error) => Err(error),
        };
        let failed = match rcode {
            Ok(ResponseCode::ServFail) => Some(ExtendedError::CachedError),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        forwarder.remember(&self.question, failed);
        match rcode {
            Ok(rcode) => forwarder.metrics.forward.answered(*transport, rcode, begin.elapsed()),
            Err(error) => out = forwarder.refuse(foreign, *transport, ResponseCode::ServFail, error, *begin),
        }
        out
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.forwarder.metrics.forward.in_flight.dec();
        if let Some(seat) = self.seat.take() {
            lock(&self.forwarder.shares).give_back(seat);
        }
    }
}

fn lock<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl FailureReason ===

impl From<Shortage> for FailureReason {
    fn from(shortage: Shortage) -> Self {
        match shortage {
            Shortage::Seats => Self::TooMany,
            Shortage::Client => Self::TooManyOfClient,
            Shortage::Domain => Self::TooManyOfDomain,
        }
    }
}
