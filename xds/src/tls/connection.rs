use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::{Failure, Io, Observer};

#[cfg(test)]
mod tests;

/// A connection that was accepted, after its handshake if there is one. It holds one of the places that there are, and
/// must begin to speak HTTP/2 in time.
#[derive(Debug)]
pub struct Connection {
    io: Io,
    preface: Option<Preface>,
    _place: OwnedSemaphorePermit,
}

/// What the client has yet to send. Only after it do HTTP/2's pings find out whether there is anybody at all.
#[derive(Debug)]
struct Preface {
    bytes_left: usize,
    late: Pin<Box<Sleep>>,
    timeout: Duration,
    observer: Arc<Observer>,
}

/// The first thing that a client sends (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

// === impl Connection ===

impl Connection {
    /// Fails to be read when the client's preface has not come after `timeout`.
    pub(super) fn new(io: Io, place: OwnedSemaphorePermit, timeout: Duration, observer: Arc<Observer>) -> Self {
        let late = Box::pin(sleep(timeout));
        let preface = Preface { bytes_left: PREFACE_BYTES, late, timeout, observer };
        Self { io, preface: Some(preface), _place: place }
    }

    fn heard(&mut self, bytes: usize) {
        self.preface = self.preface.take().and_then(|preface| preface.after(bytes));
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.heard(buf.filled().len() - before);
        match (polled, &mut self.preface) {
            (Poll::Pending, Some(preface)) => preface.poll_late(cx),
            (polled, _) => polled,
        }
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

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.io.tcp().connect_info()
    }
}

// === impl Preface ===

impl Preface {
    /// What is left of it after so many more bytes.
    fn after(mut self, bytes: usize) -> Option<Self> {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        (self.bytes_left > 0).then_some(self)
    }

    /// Pending until it is too late.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.late.as_mut().poll(cx));
        self.observer.failed(Failure::Timeout);
        let text = format!("no preface of HTTP/2 within {:?}", self.timeout);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }
}
