//! An accepted connection, held to what a client may cost before and beside its requests.

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

use super::{
    Failure, Io, Metrics, Shown,
    frames::{Fault, Frames, Stock},
};

#[cfg(test)]
mod tests;

/// A connection that was accepted, after its handshake if there is one. It holds one of the places that there are, and
/// must begin to speak HTTP/2 in time. A client that floods it with headers or with frames that carry nothing is let go.
#[derive(Debug)]
pub struct Connection {
    io: Io,
    shown: Shown,
    preface: Option<Preface>,
    received: Frames,
    sent: Frames,
    stock: Stock,
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
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

/// What the client has yet to send. Only after it do HTTP/2's pings find out whether there is anybody at all.
#[derive(Debug)]
struct Preface {
    bytes_left: usize,
    late: Pin<Box<Sleep>>,
    timeout: Duration,
    metrics: Arc<Metrics>,
}

/// The first thing that a client sends (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

// === impl Connection ===

impl Connection {
    /// Fails to be read when the client's preface has not come after `timeout`.
    pub(super) fn new(
        (io, shown): (Io, Shown),
        place: OwnedSemaphorePermit,
        timeout: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        let late = Box::pin(sleep(timeout));
        let preface = Preface { bytes_left: PREFACE_BYTES, late, timeout, metrics: Arc::clone(&metrics) };
        let (received, sent) = (Frames::after(PREFACE_BYTES as u32), Frames::after(0));
        Self { io, shown, preface: Some(preface), received, sent, stock: Stock::new(), metrics, _place: place }
    }

    fn heard(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.preface = self.preface.take().and_then(|preface| preface.after(bytes.len()));
        let (stock, mut may) = (&mut self.stock, true);
        self.received.pass(bytes, |frame| may &= stock.received(frame));
        if may {
            return Ok(());
        }
        self.metrics.failed(Failure::Flooded);
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, "too many HTTP/2 frames or headers without requests"))
    }

    /// The first `written` bytes of these.
    fn said<'a>(&mut self, written: &Poll<io::Result<usize>>, bufs: impl IntoIterator<Item = &'a [u8]>) {
        let Poll::Ready(Ok(mut left)) = *written else { return };
        let (Self { sent, stock, .. }, mut fault) = (&mut *self, None);
        for buf in bufs {
            let part = &buf[..left.min(buf.len())];
            left -= part.len();
            sent.pass(part, |frame| {
                fault = fault.or_else(|| frame.fault());
                stock.sent(frame);
            });
        }
        // The library has its own bounds, and says so to the client before it ends the connection.
        match fault {
            Some(Fault::Flood) => self.metrics.failed(Failure::Flooded),
            Some(Fault::Nonsense) => self.metrics.failed(Failure::Malformed),
            None => {}
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Err(error) = self.heard(&buf.filled()[before..]) {
            return Poll::Ready(Err(error));
        }
        match (polled, &mut self.preface) {
            (Poll::Pending, Some(preface)) => preface.poll_late(cx),
            (polled, _) => polled,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.said(&written, [buf]);
        written
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
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.said(&written, bufs.iter().map(|buf| &**buf));
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl Connected for Connection {
    type ConnectInfo = Arrival;

    fn connect_info(&self) -> Arrival {
        Arrival { tcp: self.io.tcp().connect_info(), shown: self.shown.clone() }
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
        self.metrics.failed(Failure::Timeout);
        let text = format!("no preface of HTTP/2 within {:?}", self.timeout);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }
}
