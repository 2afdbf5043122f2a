//! A certificate for a server under measurement, which its clients trust.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use rollcall_xds::tls::{Acceptor, Certificates, Identity, Limits};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A new one: the server's side of it, and a line that says which it is.
pub(crate) fn issue() -> Result<(Acceptor, String)> {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["bench".to_owned()])?;
    let certificates = Arc::<Certificates>::default();
    certificates.set(Identity::new(vec![cert.der().clone()], signing_key.into(), now_s())?);
    let line = cert.der().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((Acceptor::new(certificates, Arc::default(), Limits::default())?, line))
}

/// A client that trusts the certificate of that line and no other.
pub(crate) fn trusting(line: &str) -> Result<TlsConnector> {
    let digits = |at: usize| line.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let der: Option<Vec<u8>> = (0..line.trim().len()).step_by(2).map(digits).collect();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(der.with_context(|| format!("{line:?} is no certificate"))?))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "certificates are valid by the wall clock, which the TLS library reads too"
)]
fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
