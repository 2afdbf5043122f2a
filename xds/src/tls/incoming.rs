use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use futures::{Stream, stream};
use tokio::net::{TcpListener, TcpStream};

use super::{Acceptor, Failure, Io, handshakes::Handshakes};

/// Connections for tonic. Ends never: an error of the operating system is logged, counted, and tried again.
///
/// `TCP_NODELAY` is set here, because tonic's own setting has no effect on connections that are accepted for it.
#[derive(Debug)]
pub struct Incoming {
    listener: TcpListener,
    handshakes: Option<Handshakes>,
}

/// Until the next try after an error such as "too many open files", which lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

// === impl Incoming ===

impl Incoming {
    /// Connections as they come.
    pub fn plain(listener: TcpListener) -> Self {
        Self { listener, handshakes: None }
    }

    /// Connections after their handshake.
    pub fn tls(listener: TcpListener, acceptor: Acceptor) -> Self {
        Self { listener, handshakes: Some(Handshakes::new(acceptor)) }
    }

    /// What `serve_with_incoming_shutdown` takes. Dropping it frees the port and gives up the handshakes under way.
    pub fn into_stream(self) -> impl Stream<Item = Result<Io, Infallible>> + Send {
        stream::unfold(self, async |mut incoming| {
            let io = incoming.next().await;
            Some((Ok(io), incoming))
        })
    }

    async fn next(&mut self) -> Io {
        let Some(handshakes) = &mut self.handshakes else {
            loop {
                if let Some((tcp, _)) = taken(self.listener.accept().await).await {
                    return Io::Plain(tcp);
                }
            }
        };
        loop {
            tokio::select! {
                done = handshakes.next() => if let Some(io) = done {
                    return io;
                },
                accepted = self.listener.accept(), if !handshakes.is_full() => match taken(accepted).await {
                    Some((tcp, peer)) => handshakes.begin(tcp, peer),
                    None => handshakes.observer().failed(Failure::Accept),
                },
            }
        }
    }
}

async fn taken(accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<(TcpStream, SocketAddr)> {
    match accepted {
        Ok((tcp, peer)) => {
            if let Err(error) = tcp.set_nodelay(true) {
                tracing::debug!(%peer, %error, "TCP_NODELAY cannot be set");
            }
            Some((tcp, peer))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection cannot be accepted; trying again");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
