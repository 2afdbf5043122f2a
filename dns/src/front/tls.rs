//! DNS over TLS (RFC 7858), and HTTP/2 over TLS: what is put below the TCP front, and whose certificate is read again when it changes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rollcall_admin::Gate;
use rollcall_xds::tls::{Certificates, Identity};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::tcp::IDLE_TIMEOUT;
use crate::clock;

/// What the protocol is called in a handshake (RFC 7301; IANA's registry).
const ALPN: &[u8] = b"dot";
/// HTTP/2.
const ALPN_HTTP: &[u8] = b"h2";
/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(5);
/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Makes TLS of connections.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    http: TlsAcceptor,
    is_for_http: bool,
}

/// Reads the certificate.
#[derive(Debug)]
pub struct Keeper {
    cert: PathBuf,
    key: PathBuf,
    certificates: Arc<Certificates>,
    gate: Gate,
    seen: Option<[SystemTime; 2]>,
}

// === impl Tls ===

impl Tls {
    /// By the certificate and key in these files, which may appear later.
    ///
    /// # Errors
    /// When the cryptographic provider does not know the protocol's versions, which would be a fault of the build.
    pub fn new(cert: PathBuf, key: PathBuf, gate: Gate) -> io::Result<(Self, Keeper)> {
        let certificates = Arc::<Certificates>::default();
        let acceptor = |protocol: &[u8]| {
            let config = certificates.server_config_for(&[protocol]).map_err(io::Error::other)?;
            Ok::<_, io::Error>(TlsAcceptor::from(Arc::new(config)))
        };
        let (acceptor, http) = (acceptor(ALPN)?, acceptor(ALPN_HTTP)?);
        gate.close("the certificate has not been read yet");
        Ok((Self { acceptor, http, is_for_http: false }, Keeper { cert, key, certificates, gate, seen: None }))
    }

    /// The same certificate for connections that speak HTTP/2.
    pub fn for_http(self) -> Self {
        Self { is_for_http: true, ..self }
    }

    /// Whether its connections speak HTTP/2.
    pub fn is_for_http(&self) -> bool {
        self.is_for_http
    }

    /// A handshake, which takes no longer than a query may take to come.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let shaken =
            timeout(IDLE_TIMEOUT, if self.is_for_http { &self.http } else { &self.acceptor }.accept(stream)).await;
        shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

// === impl Keeper ===

impl Keeper {
    /// Works until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            self.look();
            if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                return;
            }
        }
    }

    /// Takes over what the files say, when they have changed. What cannot be used changes nothing, and is told by the gate
    /// while there is no certificate yet.
    fn look(&mut self) {
        let changed = [&self.cert, &self.key].map(|path| std::fs::metadata(path).and_then(|about| about.modified()));
        let changed = match changed {
            [Ok(cert), Ok(key)] => [cert, key],
            [Err(error), _] => return self.fault(&format!("{}: {error}", self.cert.display())),
            [_, Err(error)] => return self.fault(&format!("{}: {error}", self.key.display())),
        };
        if self.seen == Some(changed) {
            return;
        }
        match self.read() {
            Ok(identity) => {
                tracing::info!(names = ?identity.names(), "answering DNS over TLS with this certificate");
                self.certificates.set(identity);
                self.seen = Some(changed);
                self.gate.open();
            }
            Err(reason) => self.fault(&reason),
        }
    }

    fn read(&self) -> Result<Identity, String> {
        let file = |path: &PathBuf| {
            let large = std::fs::metadata(path).is_ok_and(|about| about.len() > FILE_BYTES_MAX);
            if large {
                return Err(format!("{} has more than {FILE_BYTES_MAX} bytes", path.display()));
            }
            std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let (cert, key) = (file(&self.cert)?, file(&self.key)?);
        let now = i64::try_from(clock::since_epoch().as_secs()).unwrap_or(i64::MAX);
        Identity::from_pem(&cert, &key, now).map_err(|error| format!("{}: {error}", self.cert.display()))
    }

    fn fault(&self, reason: &str) {
        let what = format!("no certificate for DNS over TLS: {reason}; give --tls-cert-file and --tls-key-file as PEM");
        if self.certificates.current().is_none() {
            self.gate.close_for("NoCertificate", what);
        } else {
            tracing::warn!("{what}; going on with the one before");
        }
    }
}
