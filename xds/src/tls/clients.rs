//! Whom a server takes client certificates of, and what a client has shown.
//!
//! A client is asked for a certificate and may go without. One that is of no use does not end the handshake, where all that
//! the client would hear is the name of an alert: it is judged right after, and who asks for something by it is refused in
//! words. So a client with a token as well, or with a certificate that is meant for other servers, is let through.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwapOption;
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConnection, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{date, trust};

#[cfg(test)]
mod tests;

/// The authorities of clients. Connections that are open when they change stay what they were.
#[derive(Default)]
pub struct Clients {
    verifier: ArcSwapOption<Verifier>,
    outcomes: [AtomicU64; Outcome::ALL.len()],
}

/// Sized, as an atomic pointer wants it.
struct Verifier(Arc<dyn ClientCertVerifier>);

/// What a client has shown in its handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// No certificate, or there was no handshake.
    #[default]
    Nothing,
    /// A certificate (DER) that one of the authorities signed for clients, and that was valid then; the client has its key.
    Verified(Arc<[u8]>),
    /// One that proves nothing: why, with the remedy.
    Refused(Arc<str>),
}

/// What came of a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was good.
    Verified,
    /// Its time is over, or that of what signed it.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// None of the authorities signed it.
    UnknownAuthority,
    /// It is for servers.
    Purpose,
    /// Anything else.
    Other,
}

/// Asks for a certificate while there are authorities, and takes any whose key the client has.
#[derive(Debug)]
pub(super) struct Asking {
    clients: Arc<Clients>,
    provider: Arc<CryptoProvider>,
}

/// Of a chain, in bytes. It is kept as long as the connection, whoever the client may be.
const CHAIN_BYTES_MAX: usize = 12 << 10;

// === impl Clients ===

impl Clients {
    /// From now on new connections are asked for certificates of these authorities (PEM).
    ///
    /// # Errors
    /// When there is none among them that can be used; those before stay.
    pub fn trust(&self, pem: &[u8]) -> Result<(), String> {
        let roots = trust::roots(pem)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), super::provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| error.to_string())?;
        self.verifier.store(Some(Arc::new(Verifier(verifier))));
        Ok(())
    }

    /// Whether clients are asked.
    pub fn ask(&self) -> bool {
        self.verifier.load().is_some()
    }

    /// What the client has shown, whose handshake has just been done. Counts it.
    pub fn shown(&self, session: &ServerConnection) -> Shown {
        match session.peer_certificates() {
            None | Some([]) => Shown::Nothing,
            Some([own, further @ ..]) => self.judge(own, further, UnixTime::now()),
        }
    }

    fn judge(&self, own: &CertificateDer<'_>, further: &[CertificateDer<'_>], now: UnixTime) -> Shown {
        let verifier = self.verifier.load_full();
        let Some(verifier) = verifier else { return Shown::Nothing };
        let verified = verifier.0.verify_client_cert(own, further, now);
        let outcome = verified.as_ref().map_or_else(Outcome::of, |_| Outcome::Verified);
        self.outcomes[outcome as usize].fetch_add(1, Relaxed);
        match verified {
            Ok(_) => Shown::Verified(Arc::from(&**own)),
            Err(error) => Shown::Refused(why(&error).into()),
        }
    }

    /// How many certificates came to that.
    pub fn outcomes(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].load(Relaxed)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("ask", &self.ask()).finish_non_exhaustive()
    }
}

// === impl Outcome ===

impl Outcome {
    /// In the order of their declaration.
    pub const ALL: [Self; 6] =
        [Self::Verified, Self::Expired, Self::NotYetValid, Self::UnknownAuthority, Self::Purpose, Self::Other];

    /// As in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::UnknownAuthority => "unknown_authority",
            Self::Purpose => "purpose",
            Self::Other => "other",
        }
    }

    fn of(error: &Error) -> Self {
        use CertificateError as Why;
        match error {
            Error::InvalidCertificate(Why::Expired | Why::ExpiredContext { .. }) => Self::Expired,
            Error::InvalidCertificate(Why::NotValidYet | Why::NotValidYetContext { .. }) => Self::NotYetValid,
            Error::InvalidCertificate(Why::UnknownIssuer | Why::BadSignature) => Self::UnknownAuthority,
            Error::InvalidCertificate(Why::InvalidPurpose | Why::InvalidPurposeContext { .. }) => Self::Purpose,
            _ => Self::Other,
        }
    }
}

/// Said to the client, and to nobody else.
fn why(error: &Error) -> String {
    let of = |time: &UnixTime| date(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    match (Outcome::of(error), error) {
        (_, Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            format!("it, or an authority of its chain, expired on {}; renew it", of(not_after))
        }
        (_, Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            format!("it is not valid before {}; is the clock of the machine that issued it right?", of(not_before))
        }
        (Outcome::UnknownAuthority, _) => "none of the authorities of clients signed it; have it issued by one of --client-ca, \
                                           or without that flag by the controller's own, and give the intermediate certificates \
                                           with it"
            .to_owned(),
        (Outcome::Purpose, _) => {
            "its extended key usage is not client authentication; issue one that has clientAuth".to_owned()
        }
        (_, error) => error.to_string(),
    }
}

// === impl Asking ===

impl Asking {
    pub(super) fn new(clients: Arc<Clients>) -> Arc<Self> {
        Arc::new(Self { clients, provider: super::provider() })
    }
}

impl ClientCertVerifier for Asking {
    fn offer_client_auth(&self) -> bool {
        self.clients.ask()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: they may change, and a client gives the one that it is configured with anyway.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// Bounds it. [`Clients::shown`] judges.
    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let bytes = further.iter().fold(own.len(), |bytes, certificate| bytes.saturating_add(certificate.len()));
        if bytes > CHAIN_BYTES_MAX {
            return Err(Error::General(format!(
                "a client's certificates have {bytes} bytes; {CHAIN_BYTES_MAX} at most"
            )));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
