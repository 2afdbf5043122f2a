//! What is measured about checks.

use std::fmt;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, Page, count, read};

use super::runner::Tally;

/// Reads what the runner counts.
#[derive(Clone, Debug)]
pub struct Metrics(pub Arc<Tally>);

// === impl Metrics ===

impl Metrics {
    /// Registers `rollcall_checks_…`.
    pub fn register(&self, registry: &mut Registry) {
        let metrics = self.clone();
        page::register(registry, move |page| metrics.write(page));
    }

    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let tally = &self.0;
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
}
