//! The stream over real sockets.
#![allow(clippy::expect_used, missing_docs)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rollcall_xds::{
    cache::Cache,
    resource::{Resource, ResourceType},
    server::{Limits, Metrics, Server, Snapshots},
    tls::{Acceptor, Incoming},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

mod authority;
mod conformance;
mod connections;
mod envoy;
mod failover;
mod hostile;
mod raw;
mod readers;
mod reconnect;
mod sotw;
mod tls;

/// Longer than anything here takes on a loaded machine: for a test that would hang otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a port of its own, or on one it had before.
struct Replica {
    address: SocketAddr,
    server: Server,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

// === impl Replica ===

impl Replica {
    async fn start(snapshots: Snapshots) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), snapshots, Limits::default()).await
    }

    async fn start_at(address: SocketAddr, snapshots: Snapshots, limits: Limits) -> Self {
        Self::start_on(address, snapshots, limits, Incoming::plain).await
    }

    async fn start_tls(address: SocketAddr, snapshots: Snapshots, acceptor: Acceptor) -> Self {
        Self::start_on(address, snapshots, Limits::default(), |listener| Incoming::tls(listener, acceptor)).await
    }

    async fn start_on(
        address: SocketAddr,
        snapshots: Snapshots,
        limits: Limits,
        incoming: impl FnOnce(TcpListener) -> Incoming,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        Self::serve(listener, |metrics| Server::new(snapshots, limits, metrics), incoming)
    }

    fn serve(
        listener: TcpListener,
        server: impl FnOnce(Arc<Metrics>) -> Server,
        incoming: impl FnOnce(TcpListener) -> Incoming,
    ) -> Self {
        let address = listener.local_addr().expect("is bound");
        let incoming = incoming(listener).into_stream();
        let metrics = Arc::new(Metrics::default());
        let server = server(metrics.clone());
        let (stop, mut stopped) = watch::channel(false);
        let router = server.clone().into_router();
        let task = tokio::spawn(async move {
            let stopped = async move { _ = stopped.wait_for(|stopped| *stopped).await };
            router.serve_with_incoming_shutdown(incoming, stopped).await;
        });
        Self { address, server, metrics, stop, task }
    }

    fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Drains and stops; the port is free afterwards.
    async fn stop(self) {
        self.server.drain();
        self.stop.send_replace(true);
        soon(self.task).await.expect("no panic");
    }
}

/// A catalog to write to, and its watch.
fn catalog() -> (Cache, watch::Sender<Option<Arc<rollcall_xds::cache::Snapshot>>>) {
    (Cache::new(), watch::Sender::new(None))
}

fn resource(ty: ResourceType, name: &str, body: &str) -> Resource {
    Resource::from_body(ty, name, body.as_bytes().to_vec())
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it took too long")
}
