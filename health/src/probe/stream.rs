//! A connection that is plain or encrypted.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::bounded::Bounded;
use super::dial::{Close, Dial};
use super::fault::{Failed, connecting};
use super::tls::{self, Alpn, Configs};
use super::{Surroundings, tls::Wanted};
use crate::definition::Tls;

/// Opens connections for one probe.
pub(super) struct Opener<'a, D> {
    pub(super) dialer: &'a D,
    pub(super) configs: &'a Configs,
    pub(super) surroundings: &'a dyn Surroundings,
    pub(super) target: SocketAddr,
}

/// A connection that is plain or encrypted, of which a bounded amount is read.
pub(super) enum Stream<S> {
    Plain(Bounded<S>),
    Encrypted(Box<TlsStream<Bounded<S>>>),
}

/// What a handshake reads at most: chains of certificates are a few KiB.
const HANDSHAKE_BYTES_MAX: usize = 128 * 1024;

// === impl Opener ===

impl<D: Dial> Opener<'_, D> {
    /// A connection of which no more than `bytes_max` is read, encrypted if `tls` asks for it.
    pub(super) async fn open(
        &self,
        close: Close,
        bytes_max: usize,
        tls: Option<&Tls>,
        alpn: Alpn,
        host: Option<&str>,
    ) -> Result<Stream<D::Stream>, Failed> {
        let prepared = match tls {
            Some(tls) => {
                let wanted = Wanted { tls, alpn, host, target: self.target };
                Some(tls::prepare(self.configs, self.surroundings, wanted).await?)
            }
            None => None,
        };
        let stream = self.dialer.dial(self.target, close).await.map_err(connecting)?;
        match prepared {
            None => Ok(Stream::Plain(Bounded::new(stream, bytes_max))),
            Some(prepared) => {
                let stream = Bounded::new(stream, HANDSHAKE_BYTES_MAX + bytes_max);
                Ok(Stream::Encrypted(Box::new(tls::connect(prepared, stream).await?)))
            }
        }
    }
}

// === impl Stream ===

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
