//! Metrics that are read when they are asked for: a room keeps plain counters, and writes them on the page.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// A page of metrics that is being written.
pub struct Page<'a>(DescriptorEncoder<'a>);

/// Has `write` called whenever metrics are asked for.
pub fn register(registry: &mut Registry, write: impl Fn(&mut Page<'_>) -> fmt::Result + Send + Sync + 'static) {
    registry.register_collector(Box::new(Part(write)));
}

/// The value of a gauge.
pub fn read(value: &AtomicU64) -> f64 {
    value.load(Relaxed) as f64
}

/// The value of a counter.
pub fn count(value: &AtomicU64) -> u64 {
    value.load(Relaxed)
}

struct Part<F>(F);

// === impl Part ===

impl<F> fmt::Debug for Part<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Part")
    }
}

impl<F: Fn(&mut Page<'_>) -> fmt::Result + Send + Sync + 'static> Collector for Part<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut Page(encoder))
    }
}

// === impl Page ===

impl Page<'_> {
    /// A gauge without labels. `help` is a sentence with its period.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    /// A gauge for each set of labels.
    pub fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'l str); N], f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(labels, value)| ConstGauge::new(value).encode(family.encode_family(&labels)?))
    }

    /// A counter for each set of labels; `[]` for the one without. `_total` is added to the name.
    pub fn counters<'l, const N: usize>(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_each_time() {
        let mut registry = Registry::default();
        let value = std::sync::Arc::new(AtomicU64::new(1));
        let seen = std::sync::Arc::clone(&value);
        register(&mut registry, move |page| {
            page.gauge("rollcall_depth", "Depth.", read(&seen))?;
            page.counters("rollcall_falls", "Falls.", [([("to", "ground")], count(&seen))])
        });
        let text = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        assert!(text().contains("rollcall_depth 1.0\n"), "{}", text());
        value.store(2, Relaxed);
        assert!(text().contains("rollcall_falls_total{to=\"ground\"} 2\n"), "{}", text());
    }
}
