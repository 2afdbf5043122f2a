//! What went wrong in a handshake, in words that follow what was tried.

use std::io;

use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use super::expiry::date;

/// A sentence about `error`, which ended the handshake with a server that should be `name`.
pub(super) fn handshake(error: &io::Error, name: &str) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Error::InvalidCertificate(error)) => certificate(error, name),
        Some(Error::InvalidMessage(_)) => {
            "got an answer that is not TLS; leave tls out, or correct the port".to_owned()
        }
        Some(Error::AlertReceived(alert)) => alert_received(*alert),
        Some(Error::NoApplicationProtocol) => "speaks TLS, but not the protocol that the check asks for".to_owned(),
        Some(error) => format!("failed in the TLS handshake: {error}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "was closed in the TLS handshake".to_owned(),
        None => format!("broke off in the TLS handshake: {error}"),
    }
}

fn alert_received(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired
        | AlertDescription::BadCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => {
            format!("refused the client in the TLS handshake ({alert:?}); give it a certificate by tls.secretName")
        }
        AlertDescription::NoApplicationProtocol => {
            "speaks TLS, but not the protocol that the check asks for (NoApplicationProtocol)".to_owned()
        }
        AlertDescription::UnrecognisedName => {
            "does not know the name that was asked for; give tls.serverName".to_owned()
        }
        alert => format!("ended the TLS handshake with the alert {alert:?}"),
    }
}

fn certificate(error: &CertificateError, name: &str) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "met a certificate of an authority that is not trusted; give that authority in tls.caBundle".to_owned()
        }
        CertificateError::Expired => "met a certificate that has expired; renew it".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("met a certificate that expired on {}; renew it", of(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("met a certificate that is not valid before {}; is a clock wrong?", of(*not_before))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("met a certificate that is not for {name}; give the name that it is for as tls.serverName")
        }
        error => format!("met a certificate that cannot be trusted: {error}"),
    }
}

fn of(time: UnixTime) -> String {
    date(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}
