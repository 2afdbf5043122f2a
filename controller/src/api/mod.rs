//! The HTTPS port (`--api-listen`): questions about the catalog, beats, and what later parts add.
//!
//! ```text
//!  listener --> connection (TLS, HTTP/1.1 or 2) --> respond: route --> who (access) --> may --> body --> handler
//!                                                      |                                                   |
//!                                                      +---------- problem (RFC 9457) <--------------------+
//! ```
//!
//! - [`listener`]: connections in bounded number, TLS; [`connection`]: one of them, with its deadlines
//! - [`routes`]: the table of what is answered, with the right that each asks for; [`path`]: how paths match
//! - [`respond`]: one request on its way; [`ask`]: what a handler gets; [`answer`]: what it gives; [`query`]: parameters
//! - [`mod@problem`]: refusals, as RFC 9457 words them
//! - [`bootstrap`]: ready files for clients of the stream
//! - [`questions`]: what is asked about the catalog
//! - [`metrics`]: what is measured

pub mod answer;
pub mod ask;
pub mod bootstrap;
mod connection;
mod listener;
pub mod metrics;
mod path;
pub mod problem;
pub mod query;
pub mod questions;
mod respond;
pub mod routes;
mod stall;

use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use rollcall_admin::Readiness;
use rollcall_admin::descriptors::{Descriptors, Share};
use rollcall_admin::ports::{self, Setting};
use rollcall_xds::tls::Certificates;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use answer::Answer;
pub use ask::Ask;
pub use problem::Problem;
pub use routes::{Route, Routes};

use crate::access::Access;
use listener::Listener;
use respond::Api;

/// Where, and for how many.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its address.
    pub address: SocketAddr,
    /// Connections at a time.
    pub connections_max: usize,
}

/// Answers by `routes`, for those whom `access` lets through, until `stop`. Without `certificates` it speaks no TLS, and only
/// on loopback: tokens must not cross a network in plaintext.
///
/// # Errors
/// When there are no certificates and the address is not loopback.
pub fn start(
    settings: &Settings,
    routes: Routes,
    access: Access,
    certificates: Option<&Arc<Certificates>>,
    (readiness, stop): (&Readiness, CancellationToken),
    registry: &mut Registry,
) -> anyhow::Result<JoinHandle<()>> {
    let address = settings.address;
    if certificates.is_none() && !address.ip().is_loopback() {
        anyhow::bail!(
            "the API port takes tokens, which must not cross a network in plaintext: set --tls to authority or files, or \
             --api-listen to a loopback address ({address} is none)"
        );
    }
    let tls = certificates.map(|certificates| {
        let config = certificates.server_config_for(&listener::PROTOCOLS)?;
        anyhow::Ok((TlsAcceptor::from(Arc::new(config)), Arc::clone(certificates.clients())))
    });
    let tls = tls.transpose()?;
    let metrics = Arc::new(metrics::Metrics::new(&routes));
    metrics.register(registry);
    let places = Arc::new(Semaphore::new(respond::REQUESTS_MAX));
    let api = Arc::new(Api { routes, access, metrics, places });
    let connections_max = Descriptors::current().share(Share::Api, settings.connections_max);
    let gate = readiness.gate("api");
    Ok(tokio::spawn(async move {
        let setting = Setting { flag: "--api-listen", value: "controller.extraArgs" };
        let listener = ports::bind_when_free(&gate, &stop, || ports::listen_tcp(address, setting)).await;
        let Some(tcp) = listener else { return };
        Listener { tcp, tls, connections_max }.run(api, stop).await;
    }))
}

#[cfg(test)]
mod tests;
