//! What went wrong in a handshake, as a client tells its operator.

use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, pki_types::UnixTime};

use super::date;

/// Said when a server answers a client without TLS by an alert of TLS.
pub(crate) const SPEAKS_TLS: &str =
    "the server speaks TLS; name it with https:// instead of http://, and give its bundle";

/// A sentence about `error`, which ended the handshake with `server` (`HOST:PORT`), checked by the bundle in `path`.
pub(crate) fn handshake_failed(server: &str, path: &str, error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Error::InvalidCertificate(error)) => certificate_refused(server, path, error),
        Some(Error::InvalidMessage(_)) => format!(
            "{server} does not speak TLS; name it with http:// instead of https://, or turn TLS on at the server (--tls)"
        ),
        Some(Error::AlertReceived(AlertDescription::AccessDenied)) => format!(
            "{server} has no certificate yet; the reason is in its readiness, gate `certificate`, and in its log"
        ),
        Some(error) => format!("no TLS with {server}: {error}"),
        None => format!(
            "{server} ended the TLS handshake ({error}); is it the discovery stream of a controller with --tls?"
        ),
    }
}

fn certificate_refused(server: &str, path: &str, error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "certificate of {server} is not signed by the bundle in {path}: give the ca.crt of the authority that signed it, \
             mounted from its ConfigMap so that it follows rotations"
        ),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "certificate of {server} expired on {}, and it is {} here: the server could not renew it (see its readiness, gate \
             `certificate`), or this clock is wrong",
            of(*not_after),
            of(*time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "certificate of {server} is not valid before {}, and it is {} here: one of the two clocks is wrong",
            of(*not_before),
            of(*time)
        ),
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "certificate of {server} is for {}, not for {}: call it by such a name, or have this one added (--tls-dns-name of \
             the controller)",
            names(presented),
            expected.to_str()
        ),
        CertificateError::ApplicationVerificationFailure => {
            format!(
                "certificate of {server} is not one that {path} names; that is right in a moment if it was just renewed"
            )
        }
        error => format!("certificate of {server} is refused: {error}"),
    }
}

fn of(time: UnixTime) -> String {
    date(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// rustls gives them as Debug prints them: `DnsName("rollcall.svc")`, `IpAddress(127.0.0.1)`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        inside.trim_matches('"').to_owned()
    };
    let names: Vec<_> = presented.iter().map(bare).collect();
    if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") }
}
