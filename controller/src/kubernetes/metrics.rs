//! What is measured about the watches.

use std::fmt;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, Page, count, read};

use super::freshness::Freshness;

/// Reads the life of every watch.
#[derive(Clone, Debug)]
pub struct Metrics(pub Vec<Arc<Freshness>>);

// === impl Metrics ===

impl Metrics {
    /// Registers `rollcall_source_…`.
    pub fn register(&self, registry: &mut Registry) {
        let metrics = self.clone();
        page::register(registry, move |page| metrics.write(page));
    }

    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        fn labels(source: &Freshness) -> [(&'static str, &str); 2] {
            // Empty in the whole cluster, which to Prometheus is no label.
            [("source", source.id.kind.as_str()), ("namespace", source.id.instance.as_deref().unwrap_or_default())]
        }
        page.gauges(
            "rollcall_source_age_seconds",
            "Seconds since the API server last answered the watch. Below 35 when all is well; the data is that old at most.",
            self.0.iter().map(|source| (labels(source), source.age_seconds())),
        )?;
        page.gauges(
            "rollcall_source_objects",
            "Objects that the watch has seen and that are still there.",
            self.0.iter().map(|source| (labels(source), read(&source.objects))),
        )?;
        page.counters(
            "rollcall_source_lists",
            "Complete lists, the first included. Further ones now and then; many are load on the API server.",
            self.0.iter().map(|source| (labels(source), count(&source.lists))),
        )?;
        page.counters(
            "rollcall_source_events",
            "Objects added, changed or removed, as the watch told it.",
            self.0.iter().map(|source| (labels(source), count(&source.events))),
        )?;
        page.counters(
            "rollcall_source_failures",
            "Lists and watches that failed or broke off. Some while the API server restarts; the data stays in use.",
            self.0.iter().map(|source| (labels(source), count(&source.failures))),
        )?;
        page.counters(
            "rollcall_source_undecodable_objects",
            "Objects that could not be decoded; the log names them, and their last good version stays in use. 0 is normal.",
            self.0.iter().map(|source| (labels(source), count(&source.undecodable))),
        )
    }
}
