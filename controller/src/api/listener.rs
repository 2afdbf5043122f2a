//! Connections as they come, in bounded number, with TLS or, on loopback, without.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Protocol};
use super::metrics::Metrics;
use super::respond::{Api, Peer};
use rollcall_xds::tls::{Clients, Shown};

/// The listener.
pub(super) struct Listener {
    pub(super) tcp: TcpListener,
    /// And who may show certificates there.
    pub(super) tls: Option<(TlsAcceptor, Arc<Clients>)>,
    pub(super) connections_max: usize,
}

/// Connections by client, oldest first. Some may have ended.
#[derive(Debug)]
struct Open {
    by_client: HashMap<IpAddr, VecDeque<AbortHandle>>,
    held: usize,
    max: usize,
    /// Since those that had ended were forgotten.
    accepted: usize,
}

/// Counts a connection while it is open.
struct Counted(Arc<Metrics>);

/// Handshakes at a time; further connections wait for theirs.
const HANDSHAKES_MAX: usize = 256;
/// For a handshake, the wait for its turn included.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Until the next try after an error such as "too many open files", which lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What the handshake agrees on (RFC 7301 identifiers), best first.
pub(super) const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

// === impl Listener ===

impl Listener {
    /// Serves until `stop`, then lets requests that have begun come to their end.
    pub(super) async fn run(self, api: Arc<Api>, stop: CancellationToken) {
        let Self { tcp, tls, connections_max } = self;
        let mut open = Open { by_client: HashMap::new(), held: 0, max: connections_max, accepted: 0 };
        let (connections, handshakes) = (TaskTracker::new(), Arc::new(Semaphore::new(HANDSHAKES_MAX)));
        while let Some(accepted) = stop.run_until_cancelled(tcp.accept()).await {
            let (stream, address) = match accepted {
                Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
                Err(error) => {
                    tracing::warn!(%error, "the API port cannot accept a connection; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if open.make_room() {
                api.metrics.crowded.fetch_add(1, Relaxed);
            }
            let serving =
                serve(stream, address, tls.clone(), (Arc::clone(&api), Arc::clone(&handshakes)), stop.clone());
            open.add(address, connections.spawn(serving).abort_handle());
        }
        drop(tcp);
        connections.close();
        connections.wait().await;
    }
}

async fn serve(
    stream: TcpStream,
    address: IpAddr,
    tls: Option<(TlsAcceptor, Arc<Clients>)>,
    (api, handshakes): (Arc<Api>, Arc<Semaphore>),
    stop: CancellationToken,
) {
    let _counted = Counted::new(&api.metrics);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    let Some((tls, clients)) = tls else {
        let peer = Peer { address, shown: Shown::Nothing };
        let stream = Either::<TcpStream, tokio_rustls::server::TlsStream<TcpStream>>::Left(stream);
        return connection::serve(stream, Protocol::Http1, (api, peer), stop).await;
    };
    let handshake = async {
        // Never closed.
        let _turn = handshakes.acquire().await;
        tls.accept(stream).await
    };
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return failed(&api, address, &error.to_string()),
        Err(_) => return failed(&api, address, "not done in time"),
    };
    let (_, session) = stream.get_ref();
    let protocol = match session.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let peer = Peer { address, shown: clients.shown(session) };
    connection::serve(Either::<TcpStream, _>::Right(stream), protocol, (api, peer), stop).await;
}

fn failed(api: &Api, address: IpAddr, error: &str) {
    api.metrics.handshakes_failed.fetch_add(1, Relaxed);
    tracing::debug!(%address, error, "a TLS handshake of the API port failed");
}

// === impl Open ===

impl Open {
    /// When there is no room, the client that has most gives up its oldest: one that holds many never keeps another one
    /// out. Whether that was so.
    fn make_room(&mut self) -> bool {
        self.accepted += 1;
        if self.held < self.max && self.accepted < self.max.min(self.held + 64) {
            return false;
        }
        self.forget_ended();
        if self.held < self.max {
            return false;
        }
        let greediest = self.by_client.values_mut().max_by_key(|connections| connections.len());
        if let Some(oldest) = greediest.and_then(VecDeque::pop_front) {
            oldest.abort();
            self.held -= 1;
        }
        true
    }

    fn add(&mut self, client: IpAddr, connection: AbortHandle) {
        self.by_client.entry(client).or_default().push_back(connection);
        self.held += 1;
    }

    /// A handle keeps the memory of its task.
    fn forget_ended(&mut self) {
        self.by_client.retain(|_, connections| {
            connections.retain(|connection| !connection.is_finished());
            !connections.is_empty()
        });
        self.held = self.by_client.values().map(VecDeque::len).sum();
        self.accepted = 0;
    }
}

// === impl Counted ===

impl Counted {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.connections.fetch_add(1, Relaxed);
        Self(Arc::clone(metrics))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}
