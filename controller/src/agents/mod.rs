//! Agents: machines outside the cluster that register themselves, on the port of the discovery stream.
//!
//! ```text
//!  agent --Hello--> service --> attendance --Want, Leave--> registrar --(budget)--> ServiceRegistrations --> sources
//!        --Beats, Results-------> attendance --Said--> Ears (beats)       ^------ what stands there --------+
//!        <--Answers, Due--------- attendance <--News------ registrar
//! ```
//!
//! - [`service`]: who may speak, and how many at a time; [`admission`]: who decides that, and who is told what lives
//! - [`attendance`]: one agent's stream; [`claims`]: two machines of one name
//! - [`instance`], [`set`]: what an agent says of one instance, judged; what it shares with others; [`endpoint`]: what it does not, packed
//! - [`shard`]: an object that machines of one service share; [`desk`]: which object to write next, pure
//! - [`registrar`]: the loop around it; [`outbox`]: what it has to tell one agent
//! - `posted`: who is asked what replicas doubt
//! - `rooms`: who that is in this program; [`metrics`]: what is measured
//!
//! Every replica hears agents, and writes for those that it hears: each object over the version that it has seen, so that
//! what another replica wrote stays. Nothing is taken out of the API because a connection is lost.

pub mod admission;
mod attendance;
pub mod claims;
pub mod desk;
pub mod endpoint;
pub mod instance;
pub mod metrics;
pub mod outbox;
pub mod registrar;
mod rooms;
pub mod service;
pub mod set;
pub mod shard;

use std::sync::Arc;

use kube::Client;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use self::admission::{Admission, Ears};
use self::metrics::Metrics;
use self::registrar::Registrar;
pub use self::registrar::Watched;
pub use self::rooms::others;
pub use self::service::Service;
use crate::checks::lookouts::Lookouts;
use crate::time::clock::Clock;
use crate::writer::Snapshots;

/// How much agents may take.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Agents at a time.
    pub agents_max: usize,
    /// Writes a second of this replica for agents: beside those of the write-back, which only the leader does.
    pub writes_per_second: u32,
}

/// Starts the registrar. What comes back is the service, to be served beside the stream, and where the watch tells what
/// stands.
pub fn start(
    settings: Settings,
    (client, snapshots, clock): (Client, Snapshots, Clock),
    (admission, ears): (Arc<dyn Admission>, Arc<dyn Ears>),
    (lookouts, stop): (Lookouts, CancellationToken),
    registry: &mut Registry,
) -> (Service, Watched) {
    let metrics = Arc::<Metrics>::default();
    metrics.register(registry);
    let Settings { agents_max, writes_per_second } = settings;
    let (registrar, messages, watched) =
        Registrar::new(client, snapshots, clock, writes_per_second, Arc::clone(&metrics));
    tokio::spawn(registrar.run());
    (Service::new(admission, ears, (messages, lookouts), metrics, agents_max, stop), watched)
}
