//! Connections of a client, with TLS or without.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::{
    TlsConnector, TlsStream,
    rustls::{ClientConfig, pki_types::ServerName},
};
use tonic::{
    codegen::{Service, StdError, http::uri},
    transport::{Channel, Endpoint, Uri},
};

use super::{Config, ConfigError};
use crate::tls::{Fingerprint, Io, SPEAKS_TLS, Trust, given, handshake_failed, pinned};

/// One server of a [`Config`], to be dialled again and again: for the stream, and for other services on its port.
#[derive(Debug)]
pub struct Dialer {
    endpoint: Endpoint,
    connector: Connector,
}

/// Opens connections for tonic, with TLS or without.
#[derive(Clone, Debug)]
struct Connector {
    tcp: HttpConnector,
    /// As in the configuration; tonic's own is always plaintext to it.
    target: Uri,
    tls: Option<Tls>,
    said: Said,
}

#[derive(Clone, Debug)]
struct Tls {
    trust: Trusted,
    name: ServerName<'static>,
}

/// By what a server is known.
#[derive(Clone, Debug)]
enum Trusted {
    Bundle(Arc<Trust>),
    Pins(watch::Receiver<Vec<Fingerprint>>),
    Given(Arc<ClientConfig>),
}

/// What the connector knows about a failure, which would be lost or mangled in the layers above it.
#[derive(Clone, Debug, Default)]
struct Said(Arc<Mutex<Option<String>>>);

/// A connection that notices when a client without TLS is answered by an alert of TLS.
#[derive(Debug)]
struct Sniffed {
    io: Io,
    undecided: Option<Said>,
}

/// The content type of an alert (RFC 8446 §5.1). In HTTP/2 it would begin a frame of 1.3 MB, which no server sends first.
const TLS_ALERT: u8 = 0x15;

// === impl Dialer ===

impl Dialer {
    /// Reads `server` of `config`, without touching the network.
    ///
    /// # Errors
    /// When the server's address cannot be used, or needs a bundle that is not given.
    pub fn new(config: &Config, server: &str) -> Result<Self, ConfigError> {
        let bad = |reason: &dyn ToString| ConfigError::BadServer { server: server.into(), reason: reason.to_string() };
        let target: Uri = server.parse().map_err(|error| bad(&error))?;
        let host = target.host().filter(|host| !host.is_empty() && target.scheme().is_some());
        let host = host.ok_or_else(|| bad(&"scheme or host is missing"))?;
        let name = config.server_name.as_deref().unwrap_or(host);
        let tls = match (target.scheme_str(), &config.ca_file, &config.pins) {
            (Some("http"), ..) => None,
            (Some("https"), None, None) if config.ca.is_some() => {
                let given = given(config.ca.as_deref().unwrap_or_default(), config.own_pem.as_ref())
                    .map_err(ConfigError::Unusable)?;
                Some(Tls::new(name, Trusted::Given(given)).map_err(|reason| bad(&reason))?)
            }
            (Some("https"), _, Some(pins)) => {
                Some(Tls::new(name, Trusted::Pins(pins.clone())).map_err(|reason| bad(&reason))?)
            }
            (Some("https"), Some(path), None) => {
                let trust = Trusted::Bundle(Arc::new(Trust::new(path.clone(), config.own.clone())));
                Some(Tls::new(name, trust).map_err(|reason| bad(&reason))?)
            }
            (Some("https"), None, None) => return Err(ConfigError::NoBundle { server: server.into() }),
            _ => return Err(bad(&"the scheme is neither http nor https")),
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(config.connect_timeout));
        let mut plain = target.clone().into_parts();
        plain.scheme = Some(uri::Scheme::HTTP);
        let plain = Uri::from_parts(plain).map_err(|error| bad(&error))?;
        let endpoint = config.transport(Endpoint::from(plain)).origin(target.clone());
        Ok(Self { endpoint, connector: Connector { tcp, target, tls, said: Said::default() } })
    }

    /// A new connection.
    ///
    /// # Errors
    /// When there is none; [`Self::said`] may know better why.
    pub async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        self.connector.said.take();
        self.endpoint.connect_with_connector(self.connector.clone()).await
    }

    /// Whether what is said is read by the server alone.
    pub(super) fn is_private(&self) -> bool {
        self.connector.tls.is_some()
    }

    /// Why the last connection failed, if that is known better here than from the error.
    pub fn said(&self) -> Option<String> {
        self.connector.said.take()
    }
}

// === impl Tls ===

impl Tls {
    fn new(host: &str, trust: Trusted) -> Result<Self, String> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| format!("{host}: {error}"))?;
        Ok(Self { trust, name })
    }

    async fn handshake(self, tcp: TcpStream, server: &str) -> Result<Io, String> {
        let (config, known_by) = match &self.trust {
            Trusted::Bundle(trust) => (trust.config().await?, trust.path()),
            Trusted::Given(config) => (Arc::clone(config), "the bundle that was given".to_owned()),
            Trusted::Pins(pins) => (pinned(pins.borrow().clone())?, "its Lease".to_owned()),
        };
        let tls = TlsConnector::from(config).connect(self.name, tcp).await;
        let tls = tls.map_err(|error| handshake_failed(server, &known_by, &error))?;
        Ok(Io::Tls(Box::new(TlsStream::Client(tls))))
    }
}

// === impl Connector ===

impl Service<Uri> for Connector {
    type Response = TokioIo<Sniffed>;
    type Error = StdError;
    type Future = BoxFuture<'static, Result<Self::Response, StdError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { target, tls, said, .. } = self.clone();
        let tcp = self.tcp.call(target.clone());
        Box::pin(async move {
            let tcp = tcp.await?.into_inner();
            let Some(tls) = tls else {
                return Ok(TokioIo::new(Sniffed { io: Io::Plain(tcp), undecided: Some(said) }));
            };
            let server = target.authority().map_or_else(String::new, ToString::to_string);
            let io = tls.handshake(tcp, &server).await.map_err(|reason| said.say(reason))?;
            Ok(TokioIo::new(Sniffed { io, undecided: None }))
        })
    }
}

// === impl Said ===

impl Said {
    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn say(&self, reason: String) -> String {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
        reason
    }
}

// === impl Sniffed ===

impl Sniffed {
    /// The first byte that the server sent.
    fn first(&mut self, byte: u8) -> io::Result<()> {
        match self.undecided.take() {
            Some(said) if byte == TLS_ALERT => Err(io::Error::other(said.say(SPEAKS_TLS.to_owned()))),
            Some(_) | None => Ok(()),
        }
    }

    /// What a failed write is really about: the server may have said it before it closed the connection.
    fn poll_why<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let error = match (written, &self.undecided) {
            (Poll::Ready(Err(error)), Some(_)) => error,
            (written, _) => return written,
        };
        let mut first = [0];
        let mut read = ReadBuf::new(&mut first);
        match Pin::new(&mut self.io).poll_read(cx, &mut read) {
            // It comes, or the end does: the connection is closed. The write is tried again then, and fails as before.
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(Err(match read.filled() {
                [byte] => self.first(*byte).err().unwrap_or(error),
                _ => error,
            })),
        }
    }
}

impl AsyncRead for Sniffed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        match buf.filled().get(before).map(|first| self.first(*first)) {
            Some(Err(error)) => Poll::Ready(Err(error)),
            Some(Ok(())) | None => polled,
        }
    }
}

impl AsyncWrite for Sniffed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.poll_why(cx, written)
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
        self.poll_why(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
