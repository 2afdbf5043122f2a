//! An accepted connection: its bytes, and what the server has to know of it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rollcall_http2::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::{Bounds, Failure, Io, Metrics, Shown};

/// A connection that was accepted, after its handshake if there is one. It holds one of the places that there are.
#[derive(Debug)]
pub struct Connection {
    io: Io,
    shown: Shown,
    preface_timeout: Duration,
    metrics: Arc<Metrics>,
    _place: Option<OwnedSemaphorePermit>,
}

/// Who is at the other end of a connection: an extension of each of its requests, in whose place the server's guard puts its
/// parts.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its address.
    pub tcp: TcpConnectInfo,
    /// Its certificate.
    pub shown: Shown,
}

// === impl Connection ===

impl Connection {
    /// The client has `preface_timeout` to begin with HTTP/2.
    pub(super) fn new(
        (io, shown): (Io, Shown),
        place: OwnedSemaphorePermit,
        preface_timeout: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { io, shown, preface_timeout, metrics, _place: Some(place) }
    }

    /// Who is at the other end.
    pub(crate) fn arrival(&self) -> Arrival {
        Arrival { tcp: self.io.tcp().connect_info(), shown: self.shown.clone() }
    }

    /// How long the client may take to begin.
    pub(crate) fn preface_timeout(&self) -> Duration {
        self.preface_timeout
    }

    /// What counts how it ends, if that was not in order.
    pub(crate) fn ends(&self) -> impl FnOnce(&Error) + Send + 'static {
        let metrics = Arc::clone(&self.metrics);
        move |error| match error {
            Error::Flooded => metrics.failed(Failure::Flooded),
            Error::Broken { .. } => metrics.failed(Failure::Malformed),
            Error::Late => metrics.failed(Failure::Timeout),
            Error::Dead | Error::Stalled | Error::Io(_) => {}
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl From<TcpStream> for Connection {
    /// With the bounds of a server that has no more to say, and no place among others.
    fn from(tcp: TcpStream) -> Self {
        let (io, preface_timeout) = (Io::Plain(tcp), Bounds::default().preface_timeout);
        Self { io, shown: Shown::Nothing, preface_timeout, metrics: Arc::default(), _place: None }
    }
}
