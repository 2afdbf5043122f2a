//! Active checks of registered endpoints: the loop around [`rollcall_health::Checks`].
//!
//! ```text
//!  registrations --Order--> runner --Start--> Prober --Outcome--> runner --Contribution, Verdict--> the writer
//!                              ^------------ what may be dialled ------------ the published catalog
//!                              ^-- verdicts, doubts, testimonies --> peers, by the exchange of `replicas`
//! ```
//!
//! - [`runner`]: the task; [`admission`]: nothing is dialled that the catalog keeps out; [`confirmations`]: how many others
//!   are asked
//! - [`surroundings`]: what probes need of the controller: [`secrets`] that checks name, the health that [`aliases`] follow
//! - [`pods`]: which pods a policy has checked
//! - [`peers`]: what is told to peers, and heard from them; [`wire`]: how that is written
//! - [`lookouts`]: who is no replica and is asked as well
//! - [`ears`]: who judges beats, told to whoever hears them
//! - [`metrics`]: what is counted
//!
//! Each endpoint has one owner among the live replicas, which runs all its checks. Its verdicts go to every replica by their
//! streams, so that none waits for the API server; the leader writes them into the status of registrations, from which a
//! restarted replica takes up where it was.

pub mod admission;
mod aliases;
pub mod confirmations;
pub mod ears;
pub mod lookouts;
pub mod metrics;
pub mod peers;
pub mod pods;
pub mod runner;
mod secrets;
mod surroundings;
pub mod wire;

use std::sync::Arc;

use kube::Client;
use prometheus_client::registry::Registry;
use rollcall_admin::Readiness;
use rollcall_admin::descriptors::{Descriptors, Share};
use rollcall_health::probe::{Network, Probes};
use tokio::sync::mpsc;

use crate::evictions::Evictions;
use crate::replicas::Replicas;
use crate::time::clock::Clock;
use crate::writer::{Inbox, Snapshots};
use ears::Ears;
use lookouts::{Findings, Lookouts};
use runner::{Order, Runner};
use secrets::Secrets;
use surroundings::Surroundings;

pub use metrics::Metrics;

/// Probes under way at most: each holds a socket.
pub const PROBES_MAX: usize = 1024;

/// Starts the checks; the orders for them go the way that comes back, and what they decide about beats comes by the other. How many are probed at a time is bounded by the open
/// files that are left to them.
///
/// What this replica suspects of itself is told beside the gate `checks`, which is always open: what others find out is served
/// all the same.
pub fn start(
    client: Client,
    (inbox, snapshots, clock): (Inbox, Snapshots, Clock),
    (evictions, replicas, readiness): (Evictions, Replicas, &Readiness),
    lookouts: (Lookouts, Findings),
    registry: &mut Registry,
) -> (mpsc::Sender<Order>, Ears) {
    let metrics = Metrics::new(readiness.gate("checks"));
    metrics.register(registry);
    lookouts.0.register(registry);
    let probes_max = Descriptors::current().share(Share::Probes, PROBES_MAX);
    let surroundings = Surroundings { secrets: Secrets::new(client), snapshots: snapshots.clone() };
    let probes = Probes::new(Network).with(Arc::new(surroundings));
    let (runner, orders) = Runner::new(inbox, snapshots, clock, (probes, probes_max), replicas, metrics);
    let ears = Ears::default();
    tokio::spawn(runner.telling(evictions, ears.clone()).asking(lookouts).run());
    (orders, ears)
}
