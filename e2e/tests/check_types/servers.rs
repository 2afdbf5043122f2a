//! A server of each kind that is checked. All of them pass or fail together.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What the servers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Passes,
    Fails,
    /// As `Passes`, with certificates that end in five days.
    EndsSoon,
}

/// They end when dropped.
pub(crate) struct Servers {
    runtime: Runtime,
    shared: Arc<Shared>,
    addresses: HashMap<String, SocketAddr>,
}

struct Shared {
    mode: AtomicU8,
    authority: CertifiedIssuer<'static, KeyPair>,
}

// === impl Servers ===

impl Servers {
    pub(crate) fn new() -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let shared = Arc::new(Shared { mode: AtomicU8::new(0), authority });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { runtime, shared, addresses: HashMap::new() })
    }

    /// Who signs their certificates, as PEM.
    pub(crate) fn authority(&self) -> String {
        self.shared.authority.pem()
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.shared.mode.store(mode as u8, Ordering::SeqCst);
    }

    pub(crate) fn address(&self, name: &str) -> Result<SocketAddr> {
        self.addresses.get(name).copied().with_context(|| format!("no server {name}"))
    }

    /// Starts the server of a kind.
    pub(crate) fn start(&mut self, name: &'static str, address: SocketAddr) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        self.addresses.insert(name.to_owned(), address);
        if name == "udp" {
            let socket = self.runtime.block_on(UdpSocket::bind(address))?;
            self.runtime.spawn(datagrams(socket, shared));
            return Ok(());
        }
        let listener = self.runtime.block_on(TcpListener::bind(address))?;
        self.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                // Whoever asks and goes away is a check that has seen enough.
                tokio::spawn(async move { shared.serve(name, stream).await.ok() });
            }
        });
        Ok(())
    }
}

async fn datagrams(socket: UdpSocket, shared: Arc<Shared>) {
    let mut datagram = [0; 1500];
    while let Ok((_, from)) = socket.recv_from(&mut datagram).await {
        if shared.passes() {
            let _ = socket.send_to(b"pong", from).await;
        }
    }
}

// === impl Shared ===

impl Shared {
    fn passes(&self) -> bool {
        self.mode.load(Ordering::SeqCst) != Mode::Fails as u8
    }

    async fn serve(&self, name: &str, stream: TcpStream) -> Result<()> {
        match name {
            "http" => self.http(stream).await,
            "https" => self.http(self.acceptor(90)?.accept(stream).await?).await,
            "tls" => {
                let days = match self.mode.load(Ordering::SeqCst) {
                    mode if mode == Mode::Fails as u8 => -1,
                    mode if mode == Mode::EndsSoon as u8 => 5,
                    _ => 90,
                };
                let mut stream = self.acceptor(days)?.accept(stream).await?;
                let _ = stream.read(&mut [0; 1]).await?;
                Ok(())
            }
            "hung" | "slow" | "loops" => self.unwell(name, stream).await,
            "tcp" => self.ping_pong(stream).await,
            "grpc" | "http2" => self.http2(name, stream).await,
            other => anyhow::bail!("no server {other}"),
        }
    }

    async fn http(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
        let _ = stream.read(&mut [0; 4096]).await?;
        let (status, body) = if self.passes() { ("200 OK", "ready") } else { ("503 No", "out of disk") };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        Ok(())
    }

    /// Silent after the request, with a body that never ends, or always pointing at itself.
    async fn unwell(&self, name: &str, mut stream: TcpStream) -> Result<()> {
        if self.passes() {
            return self.http(stream).await;
        }
        let _ = stream.read(&mut [0; 4096]).await?;
        match name {
            "loops" => stream.write_all(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n").await?,
            "slow" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n").await?;
                // Until the client has seen enough.
                loop {
                    stream.write_all(b"r").await?;
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
            _ => {}
        }
        let _ = stream.read(&mut [0; 1]).await?;
        Ok(())
    }

    async fn ping_pong(&self, mut stream: TcpStream) -> Result<()> {
        let _ = stream.read(&mut [0; 64]).await?;
        stream.write_all(if self.passes() { b"+PONG\r\n" } else { b"-LOADING\r\n" }).await?;
        Ok(())
    }

    async fn http2(&self, name: &str, stream: TcpStream) -> Result<()> {
        if name == "http2" && !self.passes() {
            return Ok(());
        }
        let mut connection = h2::server::handshake(stream).await?;
        while let Some(call) = connection.accept().await {
            let (_, mut respond) = call?;
            let head = http::Response::builder().header("content-type", "application/grpc").body(())?;
            let mut body = respond.send_response(head, false)?;
            let status = if self.passes() { 1 } else { 2 };
            body.send_data(vec![0, 0, 0, 0, 2, 8, status].into(), false)?;
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
            body.send_trailers(trailers)?;
        }
        Ok(())
    }

    /// With a certificate that ends after so many days and an hour.
    fn acceptor(&self, days: i64) -> Result<TlsAcceptor> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["pay.example".to_owned()])?;
        #[expect(clippy::disallowed_methods, reason = "certificates are judged by the time of day")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let now = OffsetDateTime::from_unix_timestamp(i64::try_from(now)?)?;
        (params.not_before, params.not_after) =
            (now - Duration::days(30), now + Duration::days(days) + Duration::hours(1));
        let certificate = params.signed_by(&key, &self.authority)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
