//! What is measured. Names follow the Prometheus conventions; a test checks them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use rollcall_xds::resource::ResourceType;
use rollcall_xds::server::{Observer, TypeCounters};

use crate::checks::runner::Tally;
use crate::leadership::fence::Fence;
use crate::sources::freshness::Freshness;
use crate::writeback::run::Gauges;
use crate::writer::{Inbox, Snapshots};

/// What the write-back counts.
#[derive(Debug, Default)]
pub struct Metrics {
    writes: Family<Write, Counter>,
    /// The queue of the write-back.
    pub writeback: Gauges,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    object: &'static str,
    result: &'static str,
}

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
    /// The write-back.
    pub metrics: Arc<Metrics>,
}

// === impl Metrics ===

impl Metrics {
    /// Counts writes to the API by what became of them.
    pub fn written(&self, object: &'static str, result: &'static str, writes: usize) {
        self.writes.get_or_create(&Write { object, result }).inc_by(writes as u64);
    }
}

// === impl Readings ===

impl Readings {
    /// Registers everything under `rollcall_`.
    pub fn register(self, registry: &mut Registry) {
        let help = "Writes to the Kubernetes API by object and result";
        registry.register("rollcall_writeback_writes", help, self.metrics.writes.clone());
        registry.register_collector(Box::new(self));
    }

    fn catalog(&self, page: &mut Page<'_>) -> fmt::Result {
        let snapshot = self.snapshots.borrow().clone();
        let totals = snapshot.as_ref().map(|snapshot| snapshot.totals()).unwrap_or_default();
        let services = snapshot.map_or(0, |snapshot| snapshot.len());
        page.gauge("rollcall_catalog_services", "Services in the catalog.", services as f64)?;
        page.gauge(
            "rollcall_catalog_endpoints",
            "Endpoints in the catalog, callable or not.",
            totals.endpoints as f64,
        )?;
        page.gauge("rollcall_catalog_callable_endpoints", "Endpoints that callers are given.", totals.callable as f64)?;
        page.gauge(
            "rollcall_catalog_excluded_endpoints",
            "Endpoints kept out: refused addresses and losers of a merge.",
            totals.excluded as f64,
        )?;
        page.gauge("rollcall_catalog_queue_depth", "Statements that wait for the writer.", self.inbox.depth() as f64)
    }

    fn sources(&self, page: &mut Page<'_>) -> fmt::Result {
        let labels = |source: &Freshness| [("source", source.source.as_str())];
        page.gauges(
            "rollcall_source_age_seconds",
            "Seconds since the API server last answered the watch.",
            self.sources.iter().map(|source| (labels(source), source.age_seconds())),
        )?;
        page.gauges(
            "rollcall_source_objects",
            "Objects that the watch holds.",
            self.sources.iter().map(|source| (labels(source), read(&source.objects))),
        )?;
        page.counters(
            "rollcall_source_lists",
            "Complete lists, the first included.",
            self.sources.iter().map(|source| (labels(source), count(&source.lists))),
        )?;
        page.counters(
            "rollcall_source_events",
            "Objects added, changed or removed.",
            self.sources.iter().map(|source| (labels(source), count(&source.events))),
        )?;
        page.counters(
            "rollcall_source_failures",
            "Requests that failed or broke off.",
            self.sources.iter().map(|source| (labels(source), count(&source.failures))),
        )?;
        page.counters(
            "rollcall_source_undecodable_objects",
            "Objects that could not be decoded.",
            self.sources.iter().map(|source| (labels(source), count(&source.undecodable))),
        )
    }

    fn checks(&self, page: &mut Page<'_>) -> fmt::Result {
        let tally = &self.checks;
        page.gauge("rollcall_checks_scheduled", "Checks that are scheduled.", read(&tally.scheduled))?;
        page.gauge("rollcall_checks_running", "Probes that are under way.", read(&tally.running))?;
        page.counters(
            "rollcall_checks_probes",
            "Probes by result.",
            [([("result", "passed")], count(&tally.passed)), ([("result", "failed")], count(&tally.failed))],
        )?;
        page.counters(
            "rollcall_checks_transitions",
            "Endpoints that turned Critical, or callable.",
            [([("to", "critical")], count(&tally.evicted)), ([("to", "callable")], count(&tally.recovered))],
        )
    }

    fn streams(&self, page: &mut Page<'_>) -> fmt::Result {
        let streams = &self.streams;
        page.gauge("rollcall_xds_streams", "Discovery streams that are open.", streams.streams_open() as f64)?;
        page.counters("rollcall_xds_streams_accepted", "Streams accepted.", [([], streams.streams_accepted())])?;
        page.counters(
            "rollcall_xds_streams_refused",
            "Streams refused: too many, before the first sync, or while draining.",
            [([], streams.streams_refused())],
        )?;
        page.counters(
            "rollcall_xds_streams_failed",
            "Streams ended because of what they asked.",
            [([], streams.streams_failed())],
        )?;
        page.counters(
            "rollcall_xds_unserved_requests",
            "Requests for types that are not served.",
            [([], streams.unserved())],
        )?;
        let each = |of: fn(&TypeCounters) -> &AtomicU64| {
            ResourceType::ALL.into_iter().map(move |ty| ([("type", ty.type_url())], count(of(&streams.types()[ty]))))
        };
        page.counters(
            "rollcall_xds_requests",
            "Requests received, acknowledgements included.",
            each(|of| &of.requests),
        )?;
        page.counters("rollcall_xds_acks", "Responses acknowledged.", each(|of| &of.acks))?;
        page.counters("rollcall_xds_nacks", "Responses rejected.", each(|of| &of.nacks))?;
        page.counters("rollcall_xds_pushes", "Responses sent.", each(|of| &of.pushes))?;
        page.counters("rollcall_xds_pushed_resources", "Resources sent.", each(|of| &of.resources))?;
        page.counters("rollcall_xds_pushed_bytes", "Bytes of resources sent.", each(|of| &of.bytes))?;
        page.counters(
            "rollcall_xds_coalesced_changes",
            "Changes merged into one that had not been sent yet.",
            each(|of| &of.coalesced),
        )?;
        page.counters(
            "rollcall_xds_oversized_responses",
            "Responses that gRPC clients may refuse for their size.",
            each(|of| &of.oversized),
        )
    }

    fn writeback(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "rollcall_leader",
            "1 while this replica holds the lease and may write.",
            f64::from(u8::from(self.fence.is_open())),
        )?;
        page.gauge(
            "rollcall_writeback_queue_depth",
            "Objects that are to be looked at.",
            read(&self.metrics.writeback.depth),
        )?;
        page.gauge("rollcall_writeback_busy", "Objects being written.", read(&self.metrics.writeback.busy))
    }
}

impl Collector for Readings {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.catalog(&mut page)?;
        self.sources(&mut page)?;
        self.checks(&mut page)?;
        self.streams(&mut page)?;
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

    fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); N], f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(labels, value)| ConstGauge::new(value).encode(family.encode_family(&labels)?))
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); N], u64)>,
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
    use tokio::sync::watch;

    use super::*;
    use crate::clock::Clock;
    use crate::sources::freshness::Source;
    use crate::writer::Writer;

    #[test]
    fn names_and_help_texts_follow_the_conventions() {
        let (_writer, inbox, snapshots) = Writer::new();
        let (_term, term) = watch::channel(None);
        let metrics = Arc::new(Metrics::default());
        metrics.written("status", "written", 1);
        let sources = Source::CATALOG.map(|source| Freshness::new(source, Clock::default())).to_vec();
        let readings = Readings {
            snapshots,
            inbox,
            sources,
            checks: Arc::default(),
            fence: Fence::new(term, Clock::default()),
            streams: Arc::default(),
            metrics,
        };
        let mut registry = Registry::default();
        rollcall_admin::process::register(&mut registry);
        rollcall_admin::build_info::register(&mut registry, "rollcall-controller", "0.0.0");
        readings.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        rollcall_admin::conventions::assert_metric_conventions(&text);
    }
}
