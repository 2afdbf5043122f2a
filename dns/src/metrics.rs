//! What operators see: names begin with `rollcall_dns_`.

mod durations;
mod forward;
mod labels;
mod tally;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use rollcall_admin::{Readiness, Telemetry, build_info, process};

use crate::answer::{Summary, Transport};
use crate::zone::writer::Size;
use crate::{holder, saved};
use durations::Durations;
use labels::{Code, DropLabels, QueryLabels, ResourceLabels, TransportLabels, Type};

pub use forward::{FailureReason, Forward};
pub use labels::{DropReason, ResourceKind};
pub use tally::Tally;

/// All metrics of the server.
#[derive(Debug)]
pub struct Metrics {
    queries: Family<QueryLabels, Counter>,
    /// The counters of `queries` by transport, type and code: counting takes neither a lock nor a hash.
    by_labels: Box<[OnceLock<Counter>]>,
    answers: Family<TransportLabels, Durations>,
    /// The histograms of `answers` by transport.
    durations: [Durations; Transport::ALL.len()],
    truncated: Family<TransportLabels, Counter>,
    dropped: Family<DropLabels, Counter>,
    /// TCP connections that are open.
    pub tcp_connections: Gauge,
    services: Gauge,
    endpoints: Gauge,
    names: Gauge,
    stream_connected: Gauge,
    disconnects: Counter,
    last_update: Gauge<f64, AtomicU64>,
    updates: Family<ResourceLabels, Counter>,
    refused: Family<ResourceLabels, Counter>,
    apply: Histogram,
    /// What is forwarded to other servers.
    pub forward: Forward,
    /// The snapshot on disk.
    pub saved: Arc<saved::metrics::Metrics>,
    /// Servers before this one.
    pub holder: holder::metrics::Metrics,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let answers = Family::<TransportLabels, Durations>::default();
        let cells = Transport::ALL.len() * Type::COUNT * Code::COUNT;
        Self {
            queries: Family::default(),
            by_labels: (0..cells).map(|_| OnceLock::new()).collect(),
            durations: Transport::ALL.map(|transport| answers.get_or_create_owned(&TransportLabels { transport })),
            answers,
            truncated: Family::default(),
            dropped: Family::default(),
            tcp_connections: Gauge::default(),
            services: Gauge::default(),
            endpoints: Gauge::default(),
            names: Gauge::default(),
            stream_connected: Gauge::default(),
            disconnects: Counter::default(),
            last_update: Gauge::default(),
            updates: Family::default(),
            refused: Family::default(),
            // 10 µs to 2.6 s.
            apply: Histogram::new((0..10).map(|n| 1e-5 * f64::from(1_u32 << (2 * n)))),
            forward: Forward::default(),
            saved: Arc::default(),
            holder: holder::metrics::Metrics::default(),
        }
    }
}

impl Metrics {
    /// All metrics of the DNS server.
    pub fn registry(&self, readiness: &Readiness, telemetry: &Telemetry) -> Registry {
        let mut registry = Registry::default();
        self.register(&mut registry);
        process::register(&mut registry);
        build_info::register(&mut registry, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        readiness.register(&mut registry);
        telemetry.register(&mut registry);
        registry
    }

    /// Registers everything under `rollcall_dns_`. `registry` has no prefix of its own.
    fn register(&self, registry: &mut Registry) {
        let to = registry.sub_registry_with_prefix("rollcall_dns");
        let help = "Queries answered from the catalog, by transport, type and response code. NXDOMAIN is normal: resolvers try search \
                    domains one after the other. SERVFAIL is not, but before the catalog is there";
        to.register("queries", help, self.queries.clone());
        let help = "Time from a query's arrival at a worker to its encoded answer, the mean of those taken at once; microseconds";
        to.register_with_unit("answer", help, Unit::Seconds, self.answers.clone());
        to.register(
            "truncated_answers",
            "Answers sent with TC because not all fitted: large services over UDP, asked for again over TCP",
            self.truncated.clone(),
        );
        let help = "Queries, answers and connections dropped, by reason: no query at all, a forged source, an answer \
                    that could not be sent, too many connections, more answers than --answers-per-second. 0 is normal";
        to.register("dropped", help, self.dropped.clone());
        to.register("tcp_connections", "Open TCP connections, of 150 for each address", self.tcp_connections.clone());
        to.register(
            "services",
            "Services held; the controllers' rollcall_catalog_services when all is well",
            self.services.clone(),
        );
        to.register(
            "endpoints",
            "Endpoints held, ready or not; the controllers' rollcall_catalog_endpoints when all is well",
            self.endpoints.clone(),
        );
        to.register("names", "Names of services, endpoints and ports that are answered", self.names.clone());
        self.forward.register(to);
        self.saved.register(to);
        self.holder.register(to);
        self.register_stream(to);
    }

    fn register_stream(&self, to: &mut Registry) {
        let help = "1 while the catalog's stream is connected, 0 while the last data is served without it: at most seconds, as when a \
                    controller restarts";
        to.register("stream_connected", help, self.stream_connected.clone());
        to.register(
            "stream_disconnects",
            "Times that the catalog's stream ended or could not be opened; some when controllers restart",
            self.disconnects.clone(),
        );
        let help = "When the last update of the catalog was applied, in unix time. In a quiet cluster that is long ago";
        to.register_with_unit("last_update_timestamp", help, Unit::Seconds, self.last_update.clone());
        to.register("resource_updates", "Resources of the catalog set or removed, by type", self.updates.clone());
        to.register(
            "resource_errors",
            "Resources of the catalog that could not be used and were refused, by type; the log names them. 0 is normal",
            self.refused.clone(),
        );
        let help = "Time from the receipt of an update to the moment when queries are answered from it; milliseconds, more for the first";
        to.register_with_unit("update_apply", help, Unit::Seconds, self.apply.clone());
    }

    /// A query was answered.
    pub fn answered(&self, transport: Transport, summary: Summary, took: Duration) {
        let mut one = Tally::default();
        if one.add(transport, summary) {
            self.told(transport, &mut one, took);
        }
    }

    /// What a worker has answered since it last told, all over one transport, and how long it took for them together.
    /// `tally` is empty afterwards.
    pub fn told(&self, transport: Transport, tally: &mut Tally, took: Duration) {
        for (labels, count) in tally.kinds() {
            let counter = self.by_labels[labels.index()].get_or_init(|| self.queries.get_or_create_owned(&labels));
            counter.inc_by(count.into());
        }
        self.durations[transport as usize].observe(took, tally.answers());
        if tally.truncated() > 0 {
            self.truncated.get_or_create(&TransportLabels { transport }).inc_by(tally.truncated().into());
        }
        *tally = Tally::default();
    }

    /// Something was dropped.
    pub fn dropped(&self, transport: Transport, reason: DropReason) {
        self.dropped.get_or_create(&DropLabels { transport, reason }).inc();
    }

    /// How often something was dropped.
    pub fn drops(&self, transport: Transport, reason: DropReason) -> u64 {
        self.dropped.get_or_create(&DropLabels { transport, reason }).get()
    }

    /// The stream was opened.
    pub fn connected(&self) {
        self.stream_connected.set(1);
    }

    /// The stream ended, or could not be opened.
    pub fn disconnected(&self) {
        self.stream_connected.set(0);
        self.disconnects.inc();
    }

    /// An update was applied.
    pub fn applied(&self, resources: ResourceKind, update: Applied, size: Size) {
        let labels = ResourceLabels { r#type: resources };
        self.updates.get_or_create(&labels).inc_by(update.used as u64);
        self.refused.get_or_create(&labels).inc_by(update.refused as u64);
        self.apply.observe(update.took.as_secs_f64());
        self.last_update.set(update.unix_time.as_secs_f64());
        self.holds(size);
    }

    /// What is held is from a file that was right at a time since the epoch.
    pub fn restored(&self, as_of: Duration, size: Size) {
        self.last_update.set(as_of.as_secs_f64());
        self.saved.as_of(as_of);
        self.saved.in_use.set(1);
        self.holds(size);
    }

    fn holds(&self, size: Size) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.services.set(count(size.services));
        self.endpoints.set(count(size.endpoints));
        self.names.set(count(size.names));
    }
}

/// What became of one update.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// Resources set or removed.
    pub used: usize,
    /// Resources that could not be used.
    pub refused: usize,
    /// From its receipt until queries are answered from it.
    pub took: Duration,
    /// When.
    pub unix_time: Duration,
}

#[cfg(test)]
mod tests;
