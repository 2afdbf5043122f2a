//! What is measured. Names follow the Prometheus conventions; a test checks them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use rollcall_admin::{Readiness, Telemetry, build_info, process};
use rollcall_xds::resource::ResourceType;
use rollcall_xds::server::{Observer, Refusal, TypeCounters};
use rollcall_xds::tls::Failure;

use crate::authority::tally as tls;
use crate::checks::runner::Tally;
use crate::kubernetes::freshness::Freshness;
use crate::leadership::fence::Fence;
use crate::propagation::Propagation;
use crate::writeback::run::Gauges;
use crate::writer::{Inbox, Snapshots};

/// What the write-back counts.
#[derive(Debug)]
pub struct Metrics {
    writes: Family<Write, Counter>,
    write_seconds: Family<Object, Histogram, fn() -> Histogram>,
    /// The queue of the write-back.
    pub writeback: Gauges,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    object: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Object {
    object: &'static str,
}

/// What is written: the EndpointSlices of services, statuses of registrations, CatalogEntries, and Events of statuses.
const OBJECTS: [&str; 4] = ["endpointslice", "status", "catalogentry", "event"];
/// What becomes of a write.
const RESULTS: [&str; 6] = ["written", "conflict", "timeout", "refused", "unreachable", "not_leading"];

/// Everything that is read when metrics are asked for.
#[derive(Debug)]
pub struct Readings {
    /// The catalog.
    pub snapshots: Snapshots,
    /// The writer's queue.
    pub inbox: Inbox,
    /// The watches.
    pub sources: Vec<Arc<Freshness>>,
    /// The checks.
    pub checks: Arc<Tally>,
    /// Whether this replica leads.
    pub fence: Fence,
    /// The streams.
    pub streams: Arc<Observer>,
    /// Their certificates.
    pub tls: Arc<tls::Tally>,
    /// The write-back.
    pub metrics: Arc<Metrics>,
    /// How long changes take.
    pub propagation: Arc<Propagation>,
}

// === impl Metrics ===

impl Default for Metrics {
    /// Every series is there from the start, at 0: a rate over the first write is not lost.
    fn default() -> Self {
        let writes = Family::<Write, Counter>::default();
        // Events are counted with the status that they tell of.
        for object in OBJECTS.into_iter().filter(|object| *object != "event") {
            RESULTS.into_iter().for_each(|result| drop(writes.get_or_create(&Write { object, result })));
        }
        // 1 ms to 8 s.
        let histogram = || Histogram::new((0..14).map(|n| 0.001 * f64::from(1_u32 << n)));
        let write_seconds = Family::<Object, Histogram, fn() -> Histogram>::new_with_constructor(histogram);
        OBJECTS.into_iter().for_each(|object| drop(write_seconds.get_or_create(&Object { object })));
        Self { writes, write_seconds, writeback: Gauges::default() }
    }
}

impl Metrics {
    /// Counts writes to the API by what became of them.
    pub fn written(&self, object: &'static str, result: &'static str, writes: usize) {
        self.writes.get_or_create(&Write { object, result }).inc_by(writes as u64);
    }

    /// One request that writes was answered, or given up.
    pub fn took(&self, object: &'static str, time: Duration) {
        self.write_seconds.get_or_create(&Object { object }).observe(time.as_secs_f64());
    }
}

// === impl Readings ===

impl Readings {
    /// All metrics of the controller.
    pub fn registry(self, readiness: &Readiness, telemetry: &Telemetry) -> Registry {
        let mut registry = Registry::default();
        process::register(&mut registry);
        build_info::register(&mut registry, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        readiness.register(&mut registry);
        telemetry.register(&mut registry);
        self.register(&mut registry);
        registry
    }

    fn register(self, registry: &mut Registry) {
        let help = "Writes to the Kubernetes API: EndpointSlices, statuses of registrations (their Events included) and \
                    CatalogEntries; written counts writes that were made, the other results attempts that ended so. Only \
                    the leader writes, and nothing while nothing changes; conflict now and then is the fence at work, \
                    refused and unreachable are not normal";
        registry.register("rollcall_writeback_writes", help, self.metrics.writes.clone());
        let help = "Time of one writing request to the Kubernetes API, by what it writes; some milliseconds to tens of \
                    them. It is given up after some seconds, before the lease could end";
        registry.register_with_unit(
            "rollcall_writeback_write",
            help,
            Unit::Seconds,
            self.metrics.write_seconds.clone(),
        );
        self.propagation.register(registry);
        registry.register_collector(Box::new(self));
    }

    fn catalog(&self, page: &mut Page<'_>) -> fmt::Result {
        let snapshot = self.snapshots.borrow().clone();
        let totals = snapshot.as_ref().map(|snapshot| snapshot.totals()).unwrap_or_default();
        let services = snapshot.map_or(0, |snapshot| snapshot.len());
        page.gauge(
            "rollcall_catalog_services",
            "Services in the catalog: Kubernetes' own, and those that only registrations name.",
            services as f64,
        )?;
        page.gauge(
            "rollcall_catalog_endpoints",
            "Endpoints in the catalog, callable or not. The same on every replica, up to moments.",
            totals.endpoints as f64,
        )?;
        page.gauge(
            "rollcall_catalog_callable_endpoints",
            "Endpoints that callers are given: ready ones. A sudden fall is what to alert on.",
            totals.callable as f64,
        )?;
        page.gauge(
            "rollcall_catalog_excluded_endpoints",
            "Endpoints kept out: refused addresses, unknown ports, losers of a merge. 0 is normal; CatalogEntries and statuses say why.",
            totals.excluded as f64,
        )?;
        let health = totals.by_health;
        page.gauges(
            "rollcall_catalog_endpoints_by_health",
            "Endpoints in the catalog by health, as conditions, checks and operators say. Most are passing; a rise of \
             critical is what to look at; unknown ones await their first check.",
            [
                ([("health", "passing")], health.passing as f64),
                ([("health", "warning")], health.warning as f64),
                ([("health", "critical")], health.critical as f64),
                ([("health", "unknown")], health.unknown as f64),
                ([("health", "maintenance")], health.maintenance as f64),
            ],
        )?;
        page.gauge(
            "rollcall_catalog_queue_depth",
            "Statements that wait for the writer, of 8,192; near 0 but for bursts. Watches and checks wait while it is full.",
            self.inbox.depth() as f64,
        )
    }

    fn sources(&self, page: &mut Page<'_>) -> fmt::Result {
        fn labels(source: &Freshness) -> [(&'static str, &str); 2] {
            // Empty in the whole cluster, which to Prometheus is no label.
            [("source", source.source.as_str()), ("namespace", source.namespace.as_deref().unwrap_or_default())]
        }
        page.gauges(
            "rollcall_source_age_seconds",
            "Seconds since the API server last answered the watch. Below 35 when all is well; the data is that old at most.",
            self.sources.iter().map(|source| (labels(source), source.age_seconds())),
        )?;
        page.gauges(
            "rollcall_source_objects",
            "Objects that the watch has seen and that are still there.",
            self.sources.iter().map(|source| (labels(source), read(&source.objects))),
        )?;
        page.counters(
            "rollcall_source_lists",
            "Complete lists, the first included. Further ones now and then; many are load on the API server.",
            self.sources.iter().map(|source| (labels(source), count(&source.lists))),
        )?;
        page.counters(
            "rollcall_source_events",
            "Objects added, changed or removed, as the watch told it.",
            self.sources.iter().map(|source| (labels(source), count(&source.events))),
        )?;
        page.counters(
            "rollcall_source_failures",
            "Lists and watches that failed or broke off. Some while the API server restarts; the data stays in use.",
            self.sources.iter().map(|source| (labels(source), count(&source.failures))),
        )?;
        page.counters(
            "rollcall_source_undecodable_objects",
            "Objects that could not be decoded; the log names them, and their last good version stays in use. 0 is normal.",
            self.sources.iter().map(|source| (labels(source), count(&source.undecodable))),
        )
    }

    fn checks(&self, page: &mut Page<'_>) -> fmt::Result {
        let tally = &self.checks;
        page.gauge(
            "rollcall_checks_scheduled",
            "Probes that recur: checks x endpoints x addresses. The same on every replica, for each probes all.",
            read(&tally.scheduled),
        )?;
        page.gauge(
            "rollcall_checks_running",
            "Probes that are under way, of 1,024; at the limit the others come late.",
            read(&tally.running),
        )?;
        page.counters(
            "rollcall_checks_probes",
            "Probes by result.",
            [([("result", "passed")], count(&tally.passed)), ([("result", "failed")], count(&tally.failed))],
        )?;
        page.counters(
            "rollcall_checks_transitions",
            "Endpoints that turned critical (evictions) or callable, as this replica decided it.",
            [([("to", "critical")], count(&tally.evicted)), ([("to", "callable")], count(&tally.recovered))],
        )
    }

    fn streams(&self, page: &mut Page<'_>) -> fmt::Result {
        let streams = &self.streams;
        page.gauge(
            "rollcall_xds_streams",
            "Discovery streams that are open: DNS servers, Envoys, gRPC clients. Spread over the replicas.",
            streams.streams_open() as f64,
        )?;
        page.counters(
            "rollcall_xds_streams_accepted",
            "Streams accepted. A high rate means that clients reconnect again and again.",
            [([], streams.streams_accepted())],
        )?;
        page.counters(
            "rollcall_xds_streams_refused",
            "Streams refused: above --streams-max, before the first sync, or while draining. Some at a start and an end.",
            [([], streams.streams_refused())],
        )?;
        page.counters(
            "rollcall_xds_streams_failed",
            "Streams ended because of what they asked. 0 is normal; the log says what it was.",
            [([], streams.streams_failed())],
        )?;
        page.counters(
            "rollcall_xds_unserved_requests",
            "Requests for types that are not served, such as listeners. 0 with gRPC and Envoy set up as documented.",
            [([], streams.unserved())],
        )?;
        page.counters(
            "rollcall_xds_refused_requests",
            "Requests refused, by reason: no room beside others that had come by half (crowded), begun and not ended in time (late), too many names that do not exist or answers not read (memory), a method that is not served, such as the state-of-the-world variant (unimplemented). 0 is normal.",
            Refusal::ALL.map(|reason| ([("reason", reason.as_str())], streams.refused_requests(reason))),
        )?;
        page.gauge(
            "rollcall_xds_asked_bytes",
            "Memory for what only clients speak of: names that do not exist, answers that they have not read. Bounded for each stream, each address and all.",
            streams.asked_bytes() as f64,
        )?;
        let each = |of: fn(&TypeCounters) -> &AtomicU64| {
            ResourceType::ALL.into_iter().map(move |ty| ([("type", ty.type_url())], count(of(&streams.types()[ty]))))
        };
        page.counters(
            "rollcall_xds_requests",
            "Requests received, acknowledgements included, by type URL.",
            each(|of| &of.requests),
        )?;
        page.counters("rollcall_xds_acks", "Responses that clients acknowledged, by type URL.", each(|of| &of.acks))?;
        page.counters(
            "rollcall_xds_nacks",
            "Responses that clients rejected, by type URL; the log has their words. 0 is normal.",
            each(|of| &of.nacks),
        )?;
        page.counters("rollcall_xds_pushes", "Responses sent, by type URL.", each(|of| &of.pushes))?;
        page.counters("rollcall_xds_pushed_resources", "Resources sent, by type URL.", each(|of| &of.resources))?;
        page.counters("rollcall_xds_pushed_bytes", "Bytes of resources sent, by type URL.", each(|of| &of.bytes))?;
        page.counters(
            "rollcall_xds_coalesced_changes",
            "Changes merged into one that a slow reader had not been sent yet, by type URL. Some in bursts.",
            each(|of| &of.coalesced),
        )?;
        page.counters(
            "rollcall_xds_oversized_responses",
            "Responses above 3.5 MiB, which gRPC clients may refuse, by type URL. 0 is normal.",
            each(|of| &of.oversized),
        )
    }

    fn tls(&self, page: &mut Page<'_>) -> fmt::Result {
        let tls = &self.tls;
        page.gauges(
            "rollcall_tls_certificate_expiry_timestamp_seconds",
            "When the certificate that new connections get expires, in Unix time.",
            tls.leaf_expiry().map(|at| ([], at)),
        )?;
        page.gauges(
            "rollcall_tls_authority_expiry_timestamp_seconds",
            "When the authority that signs it expires, in Unix time.",
            tls.authority_expiry().map(|at| ([], at)),
        )?;
        page.counters(
            "rollcall_tls_rotations",
            "Certificates and authorities that took the place of another, by this replica.",
            [
                ([("what", "leaf")], count(&tls.leaf_rotations)),
                ([("what", "authority")], count(&tls.authority_rotations)),
            ],
        )?;
        page.counters(
            "rollcall_tls_refresh_failures",
            "Attempts to read, renew or publish certificates that failed.",
            [([], count(&tls.refresh_failures))],
        )?;
        page.counters(
            "rollcall_tls_handshake_failures",
            "Connections that failed before HTTP/2 began, by reason: in their TLS handshake, without a preface in time (timeout), or closed because there were too many (crowded). Also those that flooded it with frames that carry nothing (flooded).",
            Failure::ALL.map(|reason| ([("reason", reason.as_str())], tls.handshakes.failures(reason))),
        )
    }

    fn writeback(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "rollcall_leader",
            "1 while this replica holds the Lease and may write. The sum over replicas is 1, or 0 for seconds while it changes hands.",
            f64::from(u8::from(self.fence.is_open())),
        )?;
        page.gauge(
            "rollcall_writeback_queue_depth",
            "Objects whose state in the API is to be compared and perhaps written, or that wait after a failure; 0 on a standby, and on the leader but for bursts.",
            read(&self.metrics.writeback.depth),
        )?;
        page.gauge("rollcall_writeback_busy", "Objects being written, of 16.", read(&self.metrics.writeback.busy))
    }
}

impl Collector for Readings {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.catalog(&mut page)?;
        self.sources(&mut page)?;
        self.checks(&mut page)?;
        self.streams(&mut page)?;
        self.tls(&mut page)?;
        self.writeback(&mut page)
    }
}

/// A page of metrics that is being written.
struct Page<'a>(DescriptorEncoder<'a>);

// === impl Page ===

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'l str); N], f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(labels, value)| ConstGauge::new(value).encode(family.encode_family(&labels)?))
    }

    fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'l str); N], u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values
            .into_iter()
            .try_for_each(|(labels, value)| ConstCounter::new(value).encode(family.encode_family(&labels)?))
    }
}

fn read(value: &AtomicU64) -> f64 {
    value.load(Relaxed) as f64
}

fn count(value: &AtomicU64) -> u64 {
    value.load(Relaxed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::sync::watch;

    use super::*;
    use crate::kubernetes::freshness::Source;
    use crate::time::clock::Clock;
    use crate::writer::Writer;

    fn page() -> String {
        let (_writer, inbox, snapshots) = Writer::new(Source::CATALOG.into());
        let (_term, term) = watch::channel(None);
        let sources = Source::CATALOG.map(|source| Freshness::new(source, None, Clock::default())).to_vec();
        let readings = Readings {
            snapshots,
            inbox,
            sources,
            checks: Arc::default(),
            fence: Fence::new(term, Clock::default()),
            streams: Arc::default(),
            tls: Arc::new(tls::Tally::sample()),
            metrics: Arc::default(),
            propagation: Arc::default(),
        };
        let readiness = Readiness::default();
        drop(readiness.gate("services"));
        let registry = readings.registry(&readiness, &Telemetry::default());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        text
    }

    #[test]
    fn names_and_help_texts_follow_the_conventions() {
        rollcall_admin::conventions::assert_metric_conventions(&page());
    }

    #[test]
    fn docs_metrics_md_lists_them_all() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        rollcall_admin::metrics_doc::assert_documented(&file, "controller", &page());
    }
}
