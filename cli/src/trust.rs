//! TLS towards a controller.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::failure::Failure;

/// Any stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Speaks TLS over a stream with whom these authorities (PEM) vouch for.
///
/// # Errors
/// When they cannot be read, or the other end is not who it should be.
pub async fn secure(stream: Box<dyn Stream>, name: &str, authorities: &[u8]) -> Result<Box<dyn Stream>, Failure> {
    let mut roots = RootCertStore::empty();
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(authorities).collect();
    let read = read.map_err(|error| Failure::Usage(format!("the authorities (--ca-file) cannot be read: {error}")))?;
    roots.add_parsable_certificates(read);
    if roots.is_empty() {
        let words =
            "the authorities (--ca-file) hold no certificate; give PEM, such as ca.crt of ConfigMap rollcall-ca";
        return Err(Failure::Usage(words.to_owned()));
    }
    let broken = |error: String| Failure::Unreachable(format!("TLS cannot be set up: {error}"));
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerName::try_from(name.to_owned())
        .map_err(|_| Failure::Usage(format!("{name} is neither a DNS name nor an address")))?;
    let secured = TlsConnector::from(Arc::new(config)).connect(server, stream).await.map_err(|error| {
        Failure::Unreachable(format!(
            "the controller is not trusted as {name}: {error}; give its authority by --ca-file, or call it by a name of its \
             certificate"
        ))
    })?;
    Ok(Box::new(secured))
}
