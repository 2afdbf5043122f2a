//! Bootstrap files for pods: a ConfigMap in each chosen namespace, which the leader keeps as it should be.
//!
//! ```text
//!  ConfigMap with the authority, or a file --> keep (the leader, each ten seconds) --> NAMESPACE/NAME: grpc.json, servers.json, envoy.json, ca.crt
//! ```
//!
//! The ConfigMaps are there before, empty: the controller may read and update these names, and create nothing.
//!
//! - [`flags`]: where they are; [`files`]: what is in them, pure
//! - [`keep`]: reads, compares, writes; [`metrics`]: what is measured

pub mod files;
pub mod flags;
pub mod keep;
pub mod metrics;

use kube::Client;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::kubernetes::denial_notices::DenialNotices;
use crate::leadership::fence::Fence;
use files::Settings;
use keep::Keeper;
use metrics::Metrics;

/// Keeps them until `stop`, while the fence is open. Without any there is nothing to do.
pub fn start(
    settings: Settings,
    (client, fence, denials): (Client, Fence, DenialNotices),
    stop: CancellationToken,
    registry: &mut Registry,
) {
    let metrics = Metrics::default();
    metrics.register(registry);
    if !settings.maps.is_empty() {
        tokio::spawn(Keeper::new(settings, client, fence, denials, metrics).run(stop));
    }
}
