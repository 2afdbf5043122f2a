//! Heartbeats of registered instances: the I/O around [`rollcall_health::beat::Beats`].
//!
//! ```text
//!  registrations --register--+
//!  HTTP, agents, Leases -----+--> Hearing (Beats) --Change--> listener --Order::Beat--> checks
//!                                   ^----- whose beats are judged here ----- Ears <------|
//! ```
//!
//! - [`hearing`]: where beats go, from whoever hears them
//! - [`listener`]: the tasks that keep its time and tell the checks what beats come to
//! - [`relay`]: beats between replicas
//! - [`request`]: `PUT …/beat` on the HTTPS port
//! - [`metrics`]: what is counted

pub mod hearing;
pub mod listener;
mod machine;
pub mod metrics;
pub mod relay;
pub mod request;

use prometheus_client::registry::Registry;
use rollcall_xds::resource::ResourceType;
use tokio::sync::mpsc;

use crate::checks::ears::Ears;
use crate::checks::runner::Order;
use crate::replicas::Replicas;
use crate::time::clock::Clock;

pub use hearing::{Hearing, Refused};
pub use metrics::Metrics;

/// Starts listening. What beats come to goes to the checks by `orders`; whose are judged here comes from them by `ears`.
pub fn start(
    (orders, ears): (mpsc::Sender<Order>, Ears),
    replicas: &Replicas,
    clock: Clock,
    registry: &mut Registry,
) -> Hearing {
    let metrics = Metrics::default();
    metrics.register(registry);
    let hearing = Hearing::new(replicas.roster.clone(), clock, metrics);
    tokio::spawn(listener::keep_time(hearing.clone()));
    tokio::spawn(listener::follow(hearing.clone()));
    tokio::spawn(listener::heed(hearing.clone(), ears));
    tokio::spawn(relay::tell(hearing.clone(), replicas.exchange.clone()));
    tokio::spawn(relay::listen(hearing.clone(), replicas.exchange.subscribe(ResourceType::Beats)));
    tokio::spawn(listener::tell(hearing.clone(), orders));
    hearing
}
