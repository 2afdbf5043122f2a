//! A certificate with its key.

use std::{fmt, sync::Arc};

use tokio_rustls::rustls::{
    self,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

#[cfg(test)]
mod tests;

/// A certificate chain with its private key. They belong together, and were valid when they were read. The key is never
/// shown.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    validity: Validity,
    names: Vec<String>,
}

/// When a certificate is valid, in seconds since 1970, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before_s: i64,
    /// The last second.
    pub not_after_s: i64,
}

/// Why a certificate and a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The PEM text of the certificate holds none.
    #[error("the certificate holds no PEM block CERTIFICATE; give the chain, the server's own certificate first")]
    NoCertificate,
    /// The PEM text of the key holds none.
    #[error("the key holds no PEM block PRIVATE KEY; give it unencrypted, as PKCS #8, PKCS #1 or SEC 1")]
    NoKey,
    /// Not PEM, or not what the PEM says.
    #[error("the {what} cannot be read: {reason}")]
    Unreadable {
        /// `certificate` or `key`.
        what: &'static str,
        /// In the parser's words.
        reason: String,
    },
    /// Two pairs were mixed up, or one file is newer than the other.
    #[error("the key does not belong to the certificate; give the pair that was issued together")]
    Mismatch,
    /// Too old.
    #[error("the certificate expired on {}; renew it", date(*.not_after_s))]
    Expired {
        /// The last second of its validity.
        not_after_s: i64,
    },
    /// Too new.
    #[error("the certificate is not valid before {}; is the clock of this machine right?", date(*.not_before_s))]
    NotYetValid {
        /// The first second of its validity.
        not_before_s: i64,
    },
}

/// A time for people.
pub fn date(seconds: i64) -> String {
    ASN1Time::from_timestamp(seconds).map_or_else(|_| format!("second {seconds}"), |time| time.to_string())
}

// === impl Identity ===

impl Identity {
    /// Reads a chain and a key from PEM text.
    ///
    /// # Errors
    /// When they cannot be read, do not belong together, or are not valid at `now_s` (seconds since 1970).
    pub fn from_pem(chain: &[u8], key: &[u8], now_s: i64) -> Result<Self, IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| unreadable("certificate", &error))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => IdentityError::NoKey,
            error => unreadable("key", &error),
        })?;
        Self::new(chain, key, now_s)
    }

    /// An identity from a chain, the server's own certificate first, and its key.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        now_s: i64,
    ) -> Result<Self, IdentityError> {
        let own = chain.first().ok_or(IdentityError::NoCertificate)?;
        let (_, own) = X509Certificate::from_der(own).map_err(|error| unreadable("certificate", &error))?;
        let (validity, names) = (Validity::of(&own), names(&own));
        validity.check(now_s)?;
        let certified = CertifiedKey::from_der(chain, key, &super::provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => IdentityError::Mismatch,
            rustls::Error::InvalidCertificate(error) => unreadable("certificate", &error),
            error => unreadable("key", &error),
        })?;
        Ok(Self { certified: Arc::new(certified), validity, names })
    }

    /// When its own certificate is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The DNS names and addresses it is for.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// By which who knows it knows it again; `None` of no certificate at all.
    pub fn fingerprint(&self) -> Option<super::Fingerprint> {
        self.certified.cert.first().map(|own| super::Fingerprint::of(own))
    }

    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("names", &self.names).field("validity", &self.validity).finish_non_exhaustive()
    }
}

// === impl Validity ===

impl Validity {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self { not_before_s: validity.not_before.timestamp(), not_after_s: validity.not_after.timestamp() }
    }

    fn check(self, now_s: i64) -> Result<(), IdentityError> {
        if now_s < self.not_before_s {
            return Err(IdentityError::NotYetValid { not_before_s: self.not_before_s });
        }
        if now_s > self.not_after_s {
            return Err(IdentityError::Expired { not_after_s: self.not_after_s });
        }
        Ok(())
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from)).ok().map(|ip| ip.to_string())
}

fn unreadable(what: &'static str, reason: &dyn fmt::Display) -> IdentityError {
    IdentityError::Unreadable { what, reason: reason.to_string() }
}
