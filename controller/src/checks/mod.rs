//! Active checks of registered endpoints: the loop around [`rollcall_health::Checks`].
//!
//! ```text
//!  registrations --Order--> runner --Start--> Prober --Outcome--> runner --Contribution, Verdict--> the writer
//!                              ^------------ what may be dialled ------------ the published catalog
//! ```
//!
//! - [`runner`]: the task; [`admission`]: nothing is dialled that the catalog keeps out
//! - [`surroundings`]: what probes need of the controller: [`secrets`] that checks name, the health that [`aliases`] follow
//! - [`metrics`]: what is counted
//!
//! Every replica runs every check and serves its own verdicts, so that no check waits for a leader; the leader writes
//! its verdicts into the status of registrations, from which a restarted replica takes up where it was.

pub mod admission;
mod aliases;
pub mod metrics;
pub mod runner;
mod secrets;
mod surroundings;

use std::sync::Arc;

use kube::Client;
use prometheus_client::registry::Registry;
use rollcall_admin::descriptors::{Descriptors, Share};
use rollcall_health::probe::{Network, Probes};
use tokio::sync::mpsc;

use crate::evictions::Evictions;
use crate::time::clock::Clock;
use crate::writer::{Inbox, Snapshots};
use runner::{Order, Runner};
use secrets::Secrets;
use surroundings::Surroundings;

pub use metrics::Metrics;

/// Probes under way at most: each holds a socket.
pub const PROBES_MAX: usize = 1024;

/// Starts the checks; the orders for them go the way that comes back. How many are probed at a time is bounded by the open
/// files that are left to them.
pub fn start(
    client: Client,
    inbox: Inbox,
    snapshots: Snapshots,
    evictions: Evictions,
    clock: Clock,
    registry: &mut Registry,
) -> mpsc::Sender<Order> {
    let metrics = Metrics::default();
    metrics.register(registry);
    let probes_max = Descriptors::current().share(Share::Probes, PROBES_MAX);
    let surroundings = Surroundings { secrets: Secrets::new(client), snapshots: snapshots.clone() };
    let probes = Probes::new(Network).with(Arc::new(surroundings));
    let (runner, orders) = Runner::new(inbox, snapshots, clock, probes, probes_max, metrics);
    tokio::spawn(runner.telling(evictions).run());
    orders
}
