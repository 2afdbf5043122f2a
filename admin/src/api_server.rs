//! The least of a client of the API server that a pod needs to say something about itself, and to ask about a caller: one POST
//! at a time.
//!
//! `rollcall-dns` has no Kubernetes client, and a whole one for a handful of Events would double its image.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Where the API server is, and the files of the pod's ServiceAccount.
#[derive(Clone, Debug)]
pub struct ApiServer {
    host: String,
    port: u16,
    files: PathBuf,
}

/// Why an object could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The ServiceAccount's files are not as they should be.
    #[error("{0} cannot be used: {1}; mount the ServiceAccount's token (automountServiceAccountToken)")]
    Files(String, String),
    /// No answer within [`TIMEOUT`].
    #[error("the API server did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// No connection, or it broke.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// The API server said no.
    #[error("the API server refused with {0}: {1}")]
    Refused(StatusCode, String),
}

/// For one request, the connection included.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer that is read, in bytes: a Status, or the object itself.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

// === impl ApiServer ===

impl ApiServer {
    /// The API server of the cluster that this process runs in, if it runs in one.
    pub fn of_this_pod() -> Option<Self> {
        let host = std::env::var("KUBERNETES_SERVICE_HOST").ok()?;
        let port = std::env::var("KUBERNETES_SERVICE_PORT").ok()?.parse().ok()?;
        Some(Self { host, port, files: SERVICE_ACCOUNT.into() })
    }

    /// Creates an object from its JSON.
    pub async fn create(&self, path: &str, object: String) -> Result<(), ApiError> {
        let creating = async {
            // Read each time: tokens are replaced every hour, and the bundle when the authority changes.
            let token = self.read("token").await?;
            let stream = self.connect().await?;
            self.post(stream, path, token.trim(), object).await
        };
        tokio::time::timeout(TIMEOUT, creating).await.unwrap_or(Err(ApiError::Timeout)).map(drop)
    }

    /// Posts an object with the token of somebody else. The object in the answer, as JSON.
    pub async fn post_as(&self, token: &str, path: &str, object: String) -> Result<Bytes, ApiError> {
        let posting = async { self.post(self.connect().await?, path, token, object).await };
        tokio::time::timeout(TIMEOUT, posting).await.unwrap_or(Err(ApiError::Timeout))
    }

    async fn connect(&self) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static, ApiError> {
        let roots = self.roots(&self.read("ca.crt").await?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| ApiError::Unreachable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(self.host.clone()).map_err(|error| ApiError::Unreachable(error.to_string()))?;
        let unreachable = |error: io::Error| ApiError::Unreachable(format!("{}:{}: {error}", self.host, self.port));
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(unreachable)
    }

    async fn post(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        path: &str,
        token: &str,
        object: String,
    ) -> Result<Bytes, ApiError> {
        let broken = |error: hyper::Error| ApiError::Unreachable(error.to_string());
        let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let connection = tokio::spawn(connection);
        let request = Request::post(path)
            .header(HOST, self.authority())
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(USER_AGENT, "rollcall")
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(object)))
            .map_err(|error| ApiError::Files(format!("{SERVICE_ACCOUNT}/token"), error.to_string()))?;
        let answer = requests.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        connection.abort();
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        Err(ApiError::Refused(status, message(&body)))
    }

    fn authority(&self) -> String {
        match self.host.parse() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            Ok(IpAddr::V4(_)) | Err(_) => format!("{}:{}", self.host, self.port),
        }
    }

    async fn read(&self, name: &str) -> Result<String, ApiError> {
        let file = self.files.join(name);
        let text = tokio::fs::read_to_string(&file).await;
        text.map_err(|error| ApiError::Files(file.display().to_string(), error.to_string()))
    }

    fn roots(&self, bundle: &str) -> Result<RootCertStore, ApiError> {
        let unusable = |error: String| ApiError::Files(self.files.join("ca.crt").display().to_string(), error);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() { Err(unusable("it holds no certificate".to_owned())) } else { Ok(roots) }
    }
}

/// The sentence in a Status.
fn message(body: &[u8]) -> String {
    let status: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = status.as_ref().and_then(|status| status.get("message")?.as_str());
    message.map_or_else(|| String::from_utf8_lossy(body).chars().take(200).collect(), str::to_owned)
}

#[cfg(test)]
mod tests;
