//! Questions for other servers: those for names that are not the cluster's, so that this server can be the one that pods
//! are given.
//!
//! ```text
//!  front --foreign question--> Forwarder --fresh id, fresh port--> upstream
//!    <-----relayed answer----------'                          keeper: resolv.conf, health, loops
//! ```
//!
//! - [`target`], [`resolv_conf`]: who is asked, as operators give it
//! - [`routes`]: which servers are asked for which names
//! - [`upstreams`]: the servers in force, their order and their health; [`keeper`] keeps them up to date
//! - [`flags`]: what operators set
//! - [`message`]: the question as sent, and what counts as its answer (RFC 5452); [`answer`]: what is passed on; pure
//! - [`proof`]: what makes answers hard to forge, and what each server bears of it
//! - [`exchange`]: one question to one server, over UDP or TCP; [`tls`]: over TLS; `fetch`: one to all of them in their order, once for all
//!   who have the same one
//!
//! - [`shares`]: who may have how many of the seats for questions under way
//! - [`failures`]: which questions are not asked again at once
//!
//! - [`cache`]: answers, kept as long as they may be; given a little longer when nobody answers; [`kept`]: given at once

pub mod answer;
pub mod cache;
pub mod exchange;
pub mod failures;
mod fetch;
pub mod flags;
pub mod keeper;
pub mod kept;
pub mod message;
pub mod proof;
pub mod resolv_conf;
pub mod routes;
pub mod shares;
pub mod target;
pub mod tls;
pub mod upstreams;

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::answer::edns::ExtendedError;
use crate::answer::encode::Response;
use crate::answer::{Foreign, Transport};
use crate::metrics::{FailureReason, Metrics};
use answer::{Age, Answer};
use cache::{Bounds, Cache, Entry, Kept, Key};
use failures::{Failures, Question};
use fetch::Flights;
use kept::AtHand;
use message::Ids;
use proof::Wanted;
use routes::Routes;
use shares::{Seat, Shares, Shortage};

/// For one server to answer one try.
pub const TRY_TIMEOUT: Duration = Duration::from_secs(2);
/// For all tries of a question: what resolvers wait for an answer (resolv.conf(5), `timeout`).
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
/// For the servers to answer while there is an answer that may be kept no longer (RFC 8767 §5).
const STALE_PATIENCE: Duration = Duration::from_millis(1800);
/// Questions under way at once, unless told otherwise. Each holds a socket and about 2 KiB.
pub const IN_FLIGHT_MAX: usize = 1024;

/// Asks other servers. Clones share everything.
#[derive(Clone, Debug)]
pub struct Forwarder {
    routes: Arc<Routes>,
    ids: Arc<Ids>,
    wanted: Wanted,
    shares: Arc<Mutex<Shares>>,
    failures: Arc<Mutex<Failures>>,
    cache: Option<Arc<Cache>>,
    flights: Arc<Flights>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
}

/// A question that may be asked.
#[derive(Debug)]
pub struct Forwarding {
    forwarder: Forwarder,
    foreign: Arc<Foreign>,
    transport: Transport,
    begin: Instant,
    question: Question,
    key: Option<Key>,
    /// To be given when nobody answers.
    stale: Option<Arc<Entry>>,
    seat: Option<Seat>,
}

// === impl Forwarder ===

impl Forwarder {
    /// Asks the servers of `routes`, at most `in_flight_max` questions at once.
    pub fn new(routes: Arc<Routes>, in_flight_max: usize, metrics: Arc<Metrics>) -> Self {
        let shares = Arc::new(Mutex::new(Shares::new(in_flight_max)));
        let (failures, flights, tasks) = (Arc::default(), Arc::default(), TaskTracker::new());
        Self {
            routes,
            ids: Arc::default(),
            wanted: Wanted::default(),
            shares,
            failures,
            cache: None,
            flights,
            metrics,
            tasks,
        }
    }

    /// Has answers kept; none where there is no room for any.
    pub fn keeping(self, bounds: Bounds) -> Self {
        let cache = (bounds.bytes > 0).then(|| Arc::new(Cache::new(bounds)));
        Self { cache, ..self }
    }

    /// What is asked of servers to make forging hard.
    pub fn wanting(self, wanted: Wanted) -> Self {
        Self { wanted, ..self }
    }

    /// What is kept, for those who answer from it at once.
    pub fn at_hand(&self) -> Option<AtHand> {
        self.cache.as_ref().map(|cache| AtHand::new(Arc::clone(cache), Arc::clone(&self.metrics)))
    }

    /// Lets a client's question in, or gives its answer at once.
    pub fn begin(&self, foreign: Box<Foreign>, transport: Transport, client: IpAddr) -> Result<Forwarding, Vec<u8>> {
        let begin = Instant::now();
        if self.routes.of(&foreign.name).is_none() || self.routes.is_own_question(&foreign.name) {
            return Err(self.refuse(
                &foreign,
                transport,
                ResponseCode::Refused,
                ExtendedError::NotAuthoritative,
                begin,
            ));
        }
        let key = self.cache.as_ref().and_then(|_| Key::of(&foreign));
        let stale = match self.kept(key.as_ref(), begin) {
            Kept::Fresh(entry) => return Err(self.hit(key, &entry, foreign, transport, client, begin)),
            Kept::Stale(entry) => Some(entry),
            Kept::Nothing => None,
        };
        let question = question(&foreign);
        if let Some(error) = lock(&self.failures).of(&question, self.routes.epoch(), begin) {
            self.metrics.forward.failed(FailureReason::Remembered);
            return Err(self.without(stale.as_deref(), &foreign, transport, error, begin));
        }
        let seat = match lock(&self.shares).take(client, &foreign.name) {
            Ok(seat) => seat,
            Err(shortage) => {
                self.metrics.forward.failed(FailureReason::from(shortage));
                return Err(self.without(stale.as_deref(), &foreign, transport, ExtendedError::Other, begin));
            }
        };
        Ok(self.forwarding(Arc::from(foreign), transport, begin, key, stale, seat))
    }

    fn forwarding(
        &self,
        foreign: Arc<Foreign>,
        transport: Transport,
        begin: Instant,
        key: Option<Key>,
        stale: Option<Arc<Entry>>,
        seat: Seat,
    ) -> Forwarding {
        self.metrics.forward.in_flight.inc();
        let question = question(&foreign);
        Forwarding { forwarder: self.clone(), foreign, transport, begin, question, key, stale, seat: Some(seat) }
    }

    fn kept(&self, key: Option<&Key>, now: Instant) -> Kept {
        let (Some(cache), Some(key)) = (&self.cache, key) else { return Kept::Nothing };
        let kept = cache.get(key.as_ref(), now);
        if !matches!(kept, Kept::Fresh(_)) {
            self.metrics.forward.cache.misses.inc();
        }
        kept
    }

    /// The answer that is kept; renews it when that is due.
    fn hit(
        &self,
        key: Option<Key>,
        entry: &Entry,
        foreign: Box<Foreign>,
        transport: Transport,
        client: IpAddr,
        begin: Instant,
    ) -> Vec<u8> {
        self.metrics.forward.cache.hits.inc();
        let mut out = Vec::new();
        let out = match entry.answer.pass_on(&foreign, transport, Age::Kept(entry.age_s(begin)), &mut out) {
            Ok(rcode) => {
                self.metrics.forward.answered(transport, rcode, begin.elapsed());
                out
            }
            Err(error) => self.refuse(&foreign, transport, ResponseCode::ServFail, error, begin),
        };
        if entry.is_to_be_renewed(begin)
            && let Ok(seat) = lock(&self.shares).take(client, &foreign.name)
        {
            self.metrics.forward.cache.renewals.inc();
            let renewal = self.forwarding(Arc::from(foreign), transport, begin, key, None, seat);
            self.spawn(renewal.renew());
        }
        out
    }

    /// The answer when there is none from anybody: the one before, marked as stale, or SERVFAIL.
    fn without(
        &self,
        stale: Option<&Entry>,
        foreign: &Foreign,
        transport: Transport,
        error: ExtendedError,
        begin: Instant,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        let given = stale.map(|entry| entry.answer.pass_on(foreign, transport, Age::Stale, &mut out));
        match given {
            Some(Ok(rcode)) => {
                self.metrics.forward.cache.stale.inc();
                self.metrics.forward.answered(transport, rcode, begin.elapsed());
                out
            }
            Some(Err(_)) | None => self.refuse(foreign, transport, ResponseCode::ServFail, error, begin),
        }
    }

    /// What became of a question, for those who ask it next.
    fn remember(&self, question: &Question, failed: Option<ExtendedError>) {
        let mut failures = lock(&self.failures);
        match failed {
            Some(error) => failures.add(question.clone(), error, self.routes.epoch(), Instant::now()),
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
}

// === impl Forwarding ===

impl Forwarding {
    /// Asks, and gives the answer to pass on: SERVFAIL within [`TOTAL_TIMEOUT`] when nobody answers, or sooner the answer
    /// before, if there was one.
    pub async fn finish(self) -> Vec<u8> {
        let Self { forwarder, foreign, transport, begin, stale, .. } = &self;
        let patience = if stale.is_some() { STALE_PATIENCE } else { TOTAL_TIMEOUT + TRY_TIMEOUT };
        let answer = match tokio::time::timeout(patience, self.answer()).await {
            Ok(Ok(answer)) if stale.is_none() || answer.is_to_the_point() => answer,
            Ok(Ok(_)) | Err(_) => return forwarder.without(stale.as_deref(), foreign, *transport, NOBODY, *begin),
            Ok(Err(error)) => return forwarder.without(stale.as_deref(), foreign, *transport, error, *begin),
        };
        let mut out = Vec::new();
        match answer.pass_on(foreign, *transport, Age::New, &mut out) {
            Ok(rcode) => {
                forwarder.metrics.forward.answered(*transport, rcode, begin.elapsed());
                out
            }
            Err(error) => {
                forwarder.remember(&self.question, Some(error));
                forwarder.refuse(foreign, *transport, ResponseCode::ServFail, error, *begin)
            }
        }
    }

    async fn answer(&self) -> Result<Arc<Answer>, ExtendedError> {
        let mut told = self.forwarder.fetch(&self.foreign, self.transport, &self.question, self.key.as_ref());
        match told.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            Ok(None) | Err(_) => Err(NOBODY),
        }
    }

    /// Asks for what is kept, before it ends.
    async fn renew(self) {
        drop(self.answer().await);
    }
}

const NOBODY: ExtendedError = ExtendedError::NoReachableAuthority;

fn question(foreign: &Foreign) -> Question {
    let query = &foreign.query;
    Question::new(&foreign.name, query.question.query_type(), query.header.checking_disabled)
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
