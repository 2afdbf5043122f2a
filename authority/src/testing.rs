//! Certificates for tests.

use rcgen::{CertificateParams, KeyPair};
use rollcall_xds::tls::Identity;
use time::OffsetDateTime;

/// A certificate valid from then on for `lifetime_s`, and its key, as PEM.
pub(crate) fn pair(from_s: i64, lifetime_s: i64) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_before = OffsetDateTime::from_unix_timestamp(from_s).expect("a time");
    params.not_after = OffsetDateTime::from_unix_timestamp(from_s + lifetime_s).expect("a time");
    let certificate = params.self_signed(&key).expect("a certificate");
    let text = |tag: &str, der: &[u8]| pem::encode(&pem::Pem::new(tag, der));
    (text("CERTIFICATE", certificate.der()), text("PRIVATE KEY", key.serialized_der()))
}

/// As [`pair`], ready for use.
pub(crate) fn identity(from_s: i64, lifetime_s: i64) -> Identity {
    let (certificate, key) = pair(from_s, lifetime_s);
    Identity::from_pem(certificate.as_bytes(), key.as_bytes(), from_s).expect("an identity")
}

/// Now, for what rustls judges by the time of day.
pub(crate) fn wall_s() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
