//! What is measured about the election.

use prometheus_client::registry::Registry;
use rollcall_admin::page;

use super::fence::Fence;

/// Reads whether this replica leads.
#[derive(Clone, Debug)]
pub struct Metrics(pub Fence);

// === impl Metrics ===

impl Metrics {
    /// Registers `rollcall_leader`.
    pub fn register(&self, registry: &mut Registry) {
        let fence = self.0.clone();
        page::register(registry, move |page| {
            page.gauge(
                "rollcall_leader",
                "1 while this replica holds the Lease and may write. The sum over replicas is 1, or 0 for seconds while it changes hands.",
                f64::from(u8::from(fence.is_open())),
            )
        });
    }
}
