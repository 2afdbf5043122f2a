//! What is forwarded to other servers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::Code;
use crate::answer::Transport;
use crate::forward::cache::Size;
use crate::forward::exchange::Failure;
use crate::forward::upstreams::Standing;

/// The metrics of forwarding.
#[derive(Debug)]
pub struct Forward {
    queries: Family<ForwardedLabels, Counter>,
    duration: Histogram,
    /// Questions under way.
    pub in_flight: Gauge,
    failures: Family<FailureLabels, Counter>,
    /// Answers that are kept.
    pub cache: Cache,
    asked: Family<UpstreamLabels, Histogram, fn() -> Histogram>,
    unanswered: Family<UpstreamLabels, Counter>,
    upstreams: Family<StandingLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ForwardedLabels {
    transport: Transport,
    rcode: Code,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    reason: FailureReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StandingLabels {
    state: Standing,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

/// The metrics of the answers that are kept.
#[derive(Debug, Default)]
pub struct Cache {
    /// Queries answered by what is kept.
    pub hits: Counter,
    /// Queries for which nothing was, or nothing fresh.
    pub misses: Counter,
    /// Queries answered by what is too old, since nobody answered.
    pub stale: Counter,
    /// Answers that were asked for again before their end.
    pub renewals: Counter,
    /// Queries that waited for the answer to one before.
    pub coalesced: Counter,
    /// Answers that went for others.
    pub evictions: Counter,
    answers: Gauge,
    bytes: Gauge,
}

/// Why a try, or a question, came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// No answer in time.
    Timeout,
    /// Nothing listens there, or there is no way to it.
    Unreachable,
    /// An answer that cannot be read.
    Malformed,
    /// A datagram with another id or question, which is ignored.
    Stranger,
    /// No socket left in this process.
    NoSocket,
    /// More questions at once than are allowed.
    TooMany,
    /// More at once than one client may have.
    TooManyOfClient,
    /// More at once than names below one domain may have.
    TooManyOfDomain,
    /// It failed a moment ago, and was not asked again.
    Remembered,
    /// No server that may be asked.
    NoUpstream,
}

// === impl Forward ===

impl Default for Forward {
    fn default() -> Self {
        Self {
            queries: Family::default(),
            // 0.25 ms to 8 s.
            duration: Histogram::new((0..16).map(|n| 0.000_25 * f64::from(1_u32 << n))),
            in_flight: Gauge::default(),
            failures: Family::default(),
            cache: Cache::default(),
            // 1 ms to 2 s.
            asked: Family::new_with_constructor(|| Histogram::new((0..12).map(|n| 0.001 * f64::from(1_u32 << n)))),
            unanswered: Family::default(),
            upstreams: Family::default(),
        }
    }
}

impl Forward {
    pub(super) fn register(&self, to: &mut Registry) {
        let help = "Answered queries for names outside of the cluster, by transport and response code. NXDOMAIN is \
                    normal; SERVFAIL that rises is not";
        to.register("forwarded_queries", help, self.queries.clone());
        let help = "Time from the arrival of a query for a name outside of the cluster to its answer: that of the \
                    server that is asked, 5 s at most";
        to.register_with_unit("forward", help, Unit::Seconds, self.duration.clone());
        let help = "Queries that wait for another server's answer, of --forward-in-flight at most";
        to.register("forward_in_flight", help, self.in_flight.clone());
        let help = "Tries to have a query answered by another server that failed, by reason: timeout, unreachable, \
                    malformed, no_socket; and stranger (a datagram with another id or question, ignored), too_many \
                    (more at once than the bound), too_many_of_client and too_many_of_domain (more than one client, \
                    or names below one domain, may have), remembered (failed seconds ago, not asked again), \
                    no_upstream. 0 is normal";
        to.register("forward_failures", help, self.failures.clone());
        let help = "Time that a server took for one try, by server; 2 s and nothing where it was silent";
        to.register_with_unit("forward_upstream", help, Unit::Seconds, self.asked.clone());
        let help = "Tries that a server did not answer, by server; 0 is normal";
        to.register("forward_upstream_failures", help, self.unanswered.clone());
        self.cache.register(to);
        let help = "Servers that queries are forwarded to, by state: usable, held_down (fails; asked last), unchecked, \
                    looping (leads back here; never asked)";
        to.register("forward_upstreams", help, self.upstreams.clone());
    }

    /// A query was answered with what another server said, or with SERVFAIL in its place.
    pub fn answered(&self, transport: Transport, rcode: ResponseCode, took: Duration) {
        self.queries.get_or_create(&ForwardedLabels { transport, rcode: Code::of(rcode) }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A server was asked.
    pub fn asked(&self, server: SocketAddr, took: Duration, answered: bool) {
        let labels = UpstreamLabels { upstream: server.to_string() };
        if !answered {
            self.unanswered.get_or_create(&labels).inc();
        }
        self.asked.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Something failed.
    pub fn failed(&self, reason: FailureReason) {
        self.failures.get_or_create(&FailureLabels { reason }).inc();
    }

    /// How often something failed.
    pub fn failures(&self, reason: FailureReason) -> u64 {
        self.failures.get_or_create(&FailureLabels { reason }).get()
    }

    /// How many servers there are of each standing.
    pub fn upstreams(&self, count: &BTreeMap<Standing, i64>) {
        for (state, number) in count {
            self.upstreams.get_or_create(&StandingLabels { state: *state }).set(*number);
        }
    }
}

// === impl Cache ===

impl Cache {
    fn register(&self, to: &mut Registry) {
        let help =
            "Queries for names outside of the cluster answered by what is kept. Most of them, where names repeat";
        to.register("forward_cache_hits", help, self.hits.clone());
        let help = "Queries for names outside of the cluster for which no answer was kept";
        to.register("forward_cache_misses", help, self.misses.clone());
        let help = "Queries answered by what may be kept no longer, because no server answered; 0 is normal";
        to.register("forward_cache_stale", help, self.stale.clone());
        let help = "Popular answers that were asked for again shortly before their end, so that nobody waits for them";
        to.register("forward_cache_renewals", help, self.renewals.clone());
        let help = "Queries that waited for the answer to the same one, which was asked already";
        to.register("forward_cache_coalesced", help, self.coalesced.clone());
        let help =
            "Answers that went for others because of the bound, --cache-bytes; few of the misses when that is enough";
        to.register("forward_cache_evictions", help, self.evictions.clone());
        to.register("forward_cache_answers", "Answers that are kept", self.answers.clone());
        let help = "Bytes of answers that are kept, of --cache-bytes";
        to.register_with_unit("forward_cache_size", help, Unit::Bytes, self.bytes.clone());
    }

    /// So much is kept.
    pub fn holds(&self, size: Size) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.answers.set(count(size.answers));
        self.bytes.set(count(size.bytes));
    }
}

// === impl FailureReason ===

impl From<Failure> for FailureReason {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Silent => Self::Timeout,
            Failure::Unreachable => Self::Unreachable,
            // Only where the question has no OPT any more, or over TCP when UDP knew it.
            Failure::Malformed | Failure::NoEdns => Self::Malformed,
            Failure::Doubtful => Self::Stranger,
            Failure::NoSocket => Self::NoSocket,
        }
    }
}

impl EncodeLabelValue for FailureReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Malformed => "malformed",
            Self::Stranger => "stranger",
            Self::NoSocket => "no_socket",
            Self::TooMany => "too_many",
            Self::TooManyOfClient => "too_many_of_client",
            Self::TooManyOfDomain => "too_many_of_domain",
            Self::Remembered => "remembered",
            Self::NoUpstream => "no_upstream",
        };
        name.encode(encoder)
    }
}

// === impl Standing ===

impl EncodeLabelValue for Standing {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = match self {
            Self::Usable => "usable",
            Self::HeldDown => "held_down",
            Self::Unchecked => "unchecked",
            Self::Looping => "looping",
        };
        name.encode(encoder)
    }
}
