//! Connections as they come, in bounded number.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{Stream, stream};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{
    Acceptor, Connection, Failure, Io, Metrics, Shown,
    handshakes::{Done, Handshakes},
};
use crate::rate::Rate;

#[cfg(test)]
mod tests;

/// Connections for the server. Ends never: an error of the operating system is logged, counted, and tried again.
///
/// `TCP_NODELAY` and TCP keepalive are set here.
#[derive(Debug)]
pub struct Incoming {
    listener: TcpListener,
    door: Door,
    handshakes: Option<Handshakes>,
}

/// What connections may take, with TLS or without. Clients that never open a stream cost no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at a time, handshakes under way included. Further ones are closed at once, so that the client tries
    /// another replica.
    pub connections_max: usize,
    /// How long a client may take to begin with HTTP/2 (its preface, RFC 9113 §3.4), after the handshake if there is one.
    pub preface_timeout: Duration,
}

/// A connection as the operating system gave it, and its place.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) tcp: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: OwnedSemaphorePermit,
}

/// Lets in as many as there are places.
#[derive(Debug)]
struct Door {
    places: Arc<Semaphore>,
    bounds: Bounds,
    metrics: Arc<Metrics>,
    refusals: Rate,
}

/// Streams that a server carries unless told otherwise.
pub(crate) const STREAMS_MAX: usize = 10_000;
/// Connections beyond one for each stream: those that are told that there are too many streams, and those that begin or end.
const SPARE: usize = 1024;
/// Until the next try after an error such as "too many open files", which lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A peer that lost its power is found after a minute, however far it had come. HTTP/2's pings are faster, once it speaks.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)).with_retries(3);

// === impl Bounds ===

impl Bounds {
    /// Room for so many streams, each on a connection of its own.
    pub fn for_streams(streams_max: usize) -> Self {
        Self { connections_max: streams_max.saturating_add(SPARE), preface_timeout: Duration::from_secs(10) }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::for_streams(STREAMS_MAX)
    }
}

// === impl Incoming ===

impl Incoming {
    /// Connections as they come.
    pub fn plain(listener: TcpListener) -> Self {
        Self { listener, door: Door::new(Bounds::default(), Arc::default()), handshakes: None }
    }

    /// Connections after their handshake. What fails is counted by the metrics of `acceptor`.
    pub fn tls(listener: TcpListener, acceptor: Acceptor) -> Self {
        let door = Door::new(Bounds::default(), Arc::clone(acceptor.metrics()));
        Self { listener, door, handshakes: Some(Handshakes::new(acceptor)) }
    }

    /// With these bounds; what they cost is counted by `metrics`.
    #[must_use]
    pub fn bounded(self, bounds: Bounds, metrics: Arc<Metrics>) -> Self {
        Self { door: Door::new(bounds, metrics), ..self }
    }

    /// What `serve_with_incoming_shutdown` takes. Dropping it frees the port and gives up the handshakes under way.
    pub fn into_stream(self) -> impl Stream<Item = Result<Connection, Infallible>> + Send {
        stream::unfold(self, async |mut incoming| {
            let connection = incoming.next().await;
            Some((Ok(connection), incoming))
        })
    }

    async fn next(&mut self) -> Connection {
        let Self { listener, door, handshakes } = self;
        let Some(handshakes) = handshakes else {
            loop {
                if let Some(Accepted { tcp, place, .. }) = door.admit(listener.accept().await).await {
                    return door.connection(Io::Plain(tcp), Shown::Nothing, place);
                }
            }
        };
        loop {
            tokio::select! {
                done = handshakes.next() => if let Some(Done { io, shown, place }) = done {
                    return door.connection(io, shown, place);
                },
                accepted = listener.accept(), if !handshakes.is_full() => {
                    if let Some(accepted) = door.admit(accepted).await {
                        handshakes.begin(accepted);
                    }
                },
            }
        }
    }
}

// === impl Door ===

impl Door {
    fn new(bounds: Bounds, metrics: Arc<Metrics>) -> Self {
        let places = Arc::new(Semaphore::new(bounds.connections_max.min(Semaphore::MAX_PERMITS)));
        Self { places, bounds, metrics, refusals: Rate::default() }
    }

    /// Who has come, if there is a place.
    async fn admit(&self, accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<Accepted> {
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                self.metrics.failed(Failure::Accept);
                if let Some(unsaid) = self.refusals.admit() {
                    tracing::warn!(%error, unsaid, "a connection cannot be accepted; trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                return None;
            }
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.failed(Failure::Crowded);
            tracing::debug!(%peer, limit = self.bounds.connections_max, "too many connections: this one is closed");
            return None;
        };
        prepare(&tcp, peer);
        Some(Accepted { tcp, peer, place })
    }

    fn connection(&self, io: Io, shown: Shown, place: OwnedSemaphorePermit) -> Connection {
        Connection::new((io, shown), place, self.bounds.preface_timeout, Arc::clone(&self.metrics))
    }
}

fn prepare(tcp: &TcpStream, peer: SocketAddr) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY cannot be set");
    }
    if let Err(error) = SockRef::from(tcp).set_tcp_keepalive(&KEEPALIVE) {
        tracing::debug!(%peer, %error, "TCP keepalive cannot be set");
    }
}
