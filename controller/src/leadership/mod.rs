//! Who writes: a Lease in the API server, with a fence.
//!
//! - [`election`]: the rules, as a pure state machine
//! - [`elector`]: reads and writes the Lease by those rules
//! - [`metrics`]: what is measured
//! - [`fence`]: until when a leader may begin a write

pub mod election;
pub mod elector;
pub mod fence;
pub mod metrics;

use kube::Client;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::kubernetes::denial_notices::DenialNotices;
use crate::time::clock::Clock;
use elector::Elector;
use fence::Fence;
use metrics::Metrics;

/// Stands for election as `identity` until `stop`. The task ends when the Lease is given back.
pub fn start(
    client: Client,
    namespace: &str,
    (identity, denials): (String, DenialNotices),
    clock: Clock,
    stop: CancellationToken,
    registry: &mut Registry,
) -> (Fence, JoinHandle<()>) {
    let (elector, term) = Elector::new(client, namespace, identity, clock, denials);
    let fence = Fence::new(term, clock);
    Metrics(fence.clone()).register(registry);
    (fence, tokio::spawn(elector.run(stop)))
}
