//! Starts serving: the publisher, and the stream's listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rollcall_admin::descriptors::{Descriptors, Share};
use rollcall_admin::ports::{self, Setting};
use rollcall_admin::{Gate, Readiness};
use rollcall_xds::server::{self, BetweenClusters, BetweenReplicas, Clients, Limits, Readers, Server};
use rollcall_xds::tls::{self, Acceptor, Bounds, Incoming};
use rollcall_xds::view::Views;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client_status::ClientStatus;
use super::lens::Lens;
use super::loads::Loads;
use super::metrics::Metrics;
use super::publisher::Publisher;
use super::told::Told;
use crate::agents;
use crate::writer::Snapshots;
use crate::writer::propagation::Propagation;

/// Where and for how many.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The stream's address.
    pub address: SocketAddr,
    /// Streams at a time.
    pub streams_max: usize,
    /// What names of services end in.
    pub cluster_domain: String,
    /// Whether meshes are given ServiceEntries.
    pub entries: bool,
    /// Whether there are names across clusters.
    pub across: bool,
    /// Who hears agents, on the same port.
    pub agents: agents::Service,
    /// What streams of other replicas are given.
    pub between: Option<BetweenReplicas>,
    /// What streams of other clusters are given.
    pub clusters: Option<BetweenClusters>,
    /// Who judges those who read the catalog; without, everybody reads everything.
    pub readers: Option<Readers>,
    /// As [`Limits::connection_age`].
    pub connection_age: Option<Duration>,
}

/// The stream, as it is served.
pub struct Serving {
    server: Server,
    task: JoinHandle<()>,
}

/// Serves what is published until `stop`; over TLS if there is an `acceptor`. `connections` counts those that fail.
pub fn start(
    settings: Settings,
    snapshots: Snapshots,
    propagation: Arc<Propagation>,
    acceptor: Option<Acceptor>,
    connections: Arc<tls::Metrics>,
    (readiness, stop): (&Readiness, CancellationToken),
    registry: &mut Registry,
) -> Serving {
    let Settings { address, streams_max, cluster_domain, across, agents, between, clusters, readers, .. } = settings;
    let (entries, connection_age) = (settings.entries, settings.connection_age);
    let (publisher, published) = Publisher::new(snapshots, &cluster_domain, across);
    let publisher = publisher.with_entries(entries.then_some(&cluster_domain));
    let loads = Loads::new(&cluster_domain, published.clone(), readers.clone(), streams_max);
    loads.register(registry);
    tokio::spawn(publisher.measured(propagation).run());
    let streams = Arc::<server::Metrics>::default();
    Metrics { streams: Arc::clone(&streams), connections: Arc::clone(&connections) }.register(registry);
    let server = Server::new(published, Limits { streams_max, connection_age, ..Limits::default() }, streams);
    let server = server.seen_through(Views::through(Arc::new(Lens::new(&cluster_domain))));
    let told = Told::new(between.clone(), server.clients());
    let server = between.into_iter().fold(server, Server::between);
    let server = clusters.into_iter().fold(server, Server::exporting);
    let status = ClientStatus::new(&cluster_domain, server.clients(), readers.clone());
    let server = readers.into_iter().fold(server, Server::read_by);
    let (_, wanted) = connections_wanted(streams_max);
    let bounds = Bounds { connections_max: Descriptors::current().share(Share::Streams, wanted), ..Bounds::default() };
    let gate = readiness.gate("grpc");
    let services = (server.clone(), agents, loads, status, told);
    let task = tokio::spawn(listen(address, acceptor, bounds, connections, services, gate, stop));
    Serving { server, task }
}

/// Connections that so many streams may need, for the share of open files.
pub fn connections_wanted(streams_max: usize) -> (Share, usize) {
    (Share::Streams, Bounds::for_streams(streams_max).connections_max)
}

// === impl Serving ===

impl Serving {
    /// Who has a stream open.
    pub fn clients(&self) -> Arc<Clients> {
        self.server.clients()
    }

    /// Ends every stream, and waits until the listener is done.
    pub async fn drained(self) {
        self.server.drain();
        let _ = self.task.await;
    }
}

/// Takes the address of the stream as soon as it is free, and serves until `stop`.
async fn listen(
    address: SocketAddr,
    acceptor: Option<Acceptor>,
    bounds: Bounds,
    connections: Arc<tls::Metrics>,
    (server, agents, loads, status, told): (Server, agents::Service, Loads, ClientStatus, Told),
    gate: Gate,
    stop: CancellationToken,
) {
    let setting = Setting { flag: "--grpc-listen", value: "controller.extraArgs" };
    let listener = ports::bind_when_free(&gate, &stop, || ports::listen_tcp(address, setting)).await;
    let Some(listener) = listener else { return };
    let incoming = match acceptor {
        Some(acceptor) => Incoming::tls(listener, acceptor),
        None => Incoming::plain(listener),
    };
    server
        .into_router()
        .add_service(agents)
        .add_service(loads.into_service())
        .add_service(status.into_service())
        .add_service(told.into_service())
        .serve_with_incoming_shutdown(incoming.bounded(bounds, connections).into_stream(), stop.cancelled_owned())
        .await;
}
