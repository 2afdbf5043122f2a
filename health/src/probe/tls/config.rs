//! Settings of TLS, made once for each set of trust and credentials: reading certificates costs more than a handshake's turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rollcall_catalog::model::Name;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};

use super::Config;
use crate::definition::{Tls, Verify};
use crate::probe::{ClientCertificate, Credentials};

/// Which protocols are offered in the handshake (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::probe) enum Alpn {
    None,
    Http1,
    Http2,
}

/// Settings by what asks for them.
#[derive(Debug, Default)]
pub(in crate::probe) struct Configs(Mutex<HashMap<Key, Config>>);

type Key = (Name, Name, Verify, Alpn, Option<Arc<Credentials>>);

/// As many are kept; then all are made anew. A registration has 8 checks at most, and most of a cluster trust the same.
const CONFIGS_MAX: usize = 1024;

static VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

// === impl Configs ===

impl Configs {
    /// Settings for a check; words that name the remedy where what it is given cannot be used.
    pub(in crate::probe) fn get(
        &self,
        tls: &Tls,
        alpn: Alpn,
        credentials: Option<Arc<Credentials>>,
    ) -> Result<Config, String> {
        let own = tls.authorities.clone().unwrap_or_else(|| "".into());
        let secret = tls.secret.as_ref().map_or_else(|| "".into(), |key| key.to_string().into());
        let key = (own, secret, tls.verify, alpn, credentials);
        if let Some(known) = self.kept().get(&key) {
            return Ok(Arc::clone(known));
        }
        let config = Arc::new(config(tls, alpn, key.4.as_deref())?);
        let mut kept = self.kept();
        if kept.len() >= CONFIGS_MAX {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&config));
        Ok(config)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Config>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn config(tls: &Tls, alpn: Alpn, credentials: Option<&Credentials>) -> Result<ClientConfig, String> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&VERSIONS)
        .map_err(|error| error.to_string())?;
    let builder = match tls.verify {
        Verify::All => {
            let roots = Arc::new(roots(tls, credentials)?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider);
            builder.with_webpki_verifier(verifier.build().map_err(|error| error.to_string())?)
        }
        Verify::KeyOnly => builder.dangerous().with_custom_certificate_verifier(Arc::new(KeyOnly(provider))),
    };
    let own = credentials.and_then(|credentials| credentials.certificate.as_ref());
    let mut config = match own {
        Some(own) => {
            let secret = tls.secret.as_ref().map(ToString::to_string).unwrap_or_default();
            let (chain, key) = identity(own).map_err(|error| format!("Secret {secret}: {error}"))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                format!("Secret {secret}: tls.crt and tls.key cannot be used together: {error}; give a certificate and its key")
            })?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match alpn {
        Alpn::None => Vec::new(),
        Alpn::Http1 => vec![b"http/1.1".to_vec()],
        Alpn::Http2 => vec![b"h2".to_vec()],
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn identity(own: &ClientCertificate) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&own.chain).collect();
    let chain = chain.map_err(|error| format!("tls.crt is no PEM ({error}); give the certificate and its chain"))?;
    if chain.is_empty() {
        return Err("tls.crt holds no PEM block CERTIFICATE; give the certificate and its chain".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(&own.key)
        .map_err(|error| format!("tls.key is no PEM of a private key ({error}); give one without a passphrase"))?;
    Ok((chain, key))
}

/// Those of the check and its Secret; without any, those of the system.
fn roots(tls: &Tls, credentials: Option<&Credentials>) -> Result<RootCertStore, String> {
    let own = tls.authorities.as_deref().map(|pem| (pem.as_bytes(), "caBundle"));
    let secret = credentials.and_then(|credentials| credentials.authorities.as_deref()).map(|pem| (pem, "ca.crt"));
    let mut roots = RootCertStore::empty();
    for (pem, what) in own.into_iter().chain(secret) {
        let before = roots.len();
        let mut problem = "it holds no PEM block CERTIFICATE".to_owned();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            match certificate
                .map_err(|error| error.to_string())
                .and_then(|der| roots.add(der).map_err(|e| e.to_string()))
            {
                Ok(()) => {}
                Err(error) => problem = error,
            }
        }
        if roots.len() == before {
            return Err(format!("{what} cannot be used: {problem}; give certificates of authorities as PEM"));
        }
    }
    if roots.is_empty() {
        roots = of_the_system().clone();
    }
    if roots.is_empty() {
        return Err("no authority is known on this side; give the server's in tls.caBundle".to_owned());
    }
    Ok(roots)
}

/// Read once: the image's own do not change under a process.
fn of_the_system() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    })
}

/// The one provider of the workspace.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

/// Takes every certificate, as its owner wrote (`insecureSkipVerify`); the server has to hold its key all the same.
#[derive(Debug)]
struct KeyOnly(Arc<CryptoProvider>);

// === impl KeyOnly ===

impl ServerCertVerifier for KeyOnly {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
