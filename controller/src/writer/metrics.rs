//! What is measured about the catalog.

use std::fmt;

use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, Page};

use super::{Inbox, Snapshots};

/// Reads the catalog that is published, and the writer's queue.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The catalog.
    pub snapshots: Snapshots,
    /// The writer's queue.
    pub inbox: Inbox,
}

// === impl Metrics ===

impl Metrics {
    /// Registers `rollcall_catalog_…`.
    pub fn register(&self, registry: &mut Registry) {
        let metrics = self.clone();
        page::register(registry, move |page| metrics.write(page));
    }

    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
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
        page.gauge(
            "rollcall_catalog_held_endpoints",
            "Endpoints that left together with too many others and that a policy's guard keeps callable. 0 is normal; statuses of registrations and policies say whose.",
            totals.held as f64,
        )?;
        page.gauge(
            "rollcall_catalog_damped_endpoints",
            "Endpoints that fell too often and that a policy's damping keeps out for a while. 0 is normal; their status has the penalty.",
            totals.damped as f64,
        )?;
        page.gauge(
            "rollcall_catalog_stale_services",
            "Services of which a source has been silent for longer than their policy trusts it. 0 is normal; services without such a policy never count.",
            totals.stale as f64,
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
            "What watches and checks have told and the catalog has not taken up yet, of 8,192; near 0 but for bursts. Both wait while it is full.",
            self.inbox.depth() as f64,
        )
    }
}
