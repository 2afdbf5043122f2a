//! How a probe gets its connection.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};

/// Makes connections: from this process, or from wherever the checks are to be run.
pub trait Dial: Send + Sync + 'static {
    /// A connection. It ends when it is dropped.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin;

    /// Connects; `close` says how the connection is to end.
    ///
    /// # Errors
    /// Those of the operating system, with their codes: they tell whose fault it is.
    fn dial(&self, target: SocketAddr, close: Close) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// A socket for datagrams that hears `target` alone, and what the network says of it.
    ///
    /// # Errors
    /// As [`Dial::dial`].
    fn datagrams(&self, target: SocketAddr) -> impl Future<Output = io::Result<UdpSocket>> + Send {
        async move {
            let any = if target.is_ipv4() {
                (Ipv4Addr::UNSPECIFIED, 0).into()
            } else {
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
            };
            let socket = UdpSocket::bind(any).await?;
            socket.connect(target).await?;
            Ok(socket)
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// As usual, with a FIN.
    Gracefully,
    /// At once, with SO_LINGER 0, as kubelet's probes end: nothing lingers in TIME-WAIT, and whoever still sends stops.
    Reset,
}

/// Connections from this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network;

// === impl Network ===

impl Dial for Network {
    type Stream = TcpStream;

    async fn dial(&self, target: SocketAddr, close: Close) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(target).await?;
        match close {
            Close::Gracefully => {}
            Close::Reset => stream.set_zero_linger()?,
        }
        Ok(stream)
    }
}
