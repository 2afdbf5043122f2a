//! Write-back: what the catalog says, written to the Kubernetes API by the leader.
//!
//! ```text
//!  Snapshot --changed services--> queue --target--> desired - observed = writes --(fence, budget, timeout)--> API server
//!                                   ^                                                                           |
//!  watches --what stands there--> observed <--------------------- what we wrote --------------------------------+
//! ```
//!
//! - [`slices`], [`entries`], [`status`], [`events`]: what should stand there, as pure functions of a service
//! - [`policies`]: the status of a policy, and what is told of policies in the others
//! - [`entry_labels`]: which labels an entry has
//! - [`limits`]: what the API server takes of what we copy
//! - [`observed`]: what does stand there; [`packed`]: how what is seldom read of it is kept
//! - [`plan`]: the difference between the two; [`keep`]: what must stay meanwhile; [`owned`]: which slices are ours
//! - [`queue`]: which objects to look at next, each once, with a pause after a failure; [`fair`]: whose turn it is
//! - [`setbacks`]: what the API server refuses, and when to try again; [`blame`]: which endpoint it was refused for
//! - [`budget`], [`pace`]: how many writes a second, in all and of one thing
//! - [`desk`]: joins them, purely: what is known and the time go in, work comes out
//! - [`apply`]: one write: fenced, server-side apply, with a timeout
//! - [`metrics`]: what is measured
//! - [`run`]: the loop around the desk: time, tasks, network; every replica runs it, the leader writes

pub mod apply;
pub mod blame;
pub mod budget;
pub mod desk;
pub mod entries;
mod entry_labels;
pub mod events;
pub mod evict;
pub mod fair;
pub mod keep;
pub mod limits;
pub mod metrics;
pub mod observed;
pub mod owned;
pub mod pace;
pub mod packed;
pub mod plan;
pub mod policies;
pub mod queue;
pub mod run;
pub mod setbacks;
pub mod slices;
pub mod status;

use std::sync::Arc;

use kube::Client;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

use crate::evictions::Evictions;
use crate::kubernetes::denial_notices::DenialNotices;
use crate::leadership::fence::Fence;
use crate::time::clock::Clock;
use crate::writer::Snapshots;
use apply::Applier;
use metrics::Metrics;
use observed::Seen;
use run::WriteBack;

/// Who writes, and how much.
pub struct Writing {
    /// The API server.
    pub client: Client,
    /// Closed while another replica leads.
    pub fence: Fence,
    /// The name of this replica, in Events.
    pub identity: String,
    /// Where missing rights are told.
    pub denials: DenialNotices,
    /// Writes a second at most.
    pub writes_per_second: u32,
    /// Told when EndpointSlices were written.
    pub evictions: Evictions,
}

/// Starts the write-back of what is published, beside what `seen` says stands there.
pub fn start(
    writing: Writing,
    snapshots: Snapshots,
    seen: mpsc::Receiver<Seen>,
    clock: Clock,
    registry: &mut Registry,
) {
    let Writing { client, fence, identity, denials, writes_per_second, evictions } = writing;
    let metrics = Arc::<Metrics>::default();
    metrics.register(registry);
    let applier = Applier { client, fence, identity: identity.into(), denials, metrics: Arc::clone(&metrics) };
    let write_back = WriteBack::new(snapshots, seen, applier, clock, metrics, writes_per_second);
    tokio::spawn(write_back.telling(evictions).run());
}
