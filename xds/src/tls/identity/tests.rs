//! Tests: a certificate with its key.

use rcgen::{CertificateParams, KeyPair};
use time::OffsetDateTime;

use super::*;

const NOW_S: i64 = 1_800_000_000;

/// A certificate valid for an hour around [`NOW_S`], and its key, as PEM.
fn pair() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["rollcall.svc".to_owned(), "10.0.0.1".to_owned()]).expect("names");
    let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).expect("a time");
    (params.not_before, params.not_after) = (at(NOW_S - 1800), at(NOW_S + 1800));
    let certificate = params.self_signed(&key).expect("a certificate");
    let text = |tag: &str, der: &[u8]| ::pem::encode(&::pem::Pem::new(tag, der));
    (text("CERTIFICATE", certificate.der()), text("PRIVATE KEY", key.serialized_der()))
}

fn read(certificate: &str, key: &str, now_s: i64) -> Result<Identity, IdentityError> {
    Identity::from_pem(certificate.as_bytes(), key.as_bytes(), now_s)
}

#[test]
fn a_pair_is_read_with_its_names_and_times() {
    let (certificate, key) = pair();
    let identity = read(&certificate, &key, NOW_S).expect("a pair");
    assert_eq!(identity.names(), ["rollcall.svc", "10.0.0.1"]);
    assert_eq!(identity.validity(), Validity { not_before_s: NOW_S - 1800, not_after_s: NOW_S + 1800 });
}

#[test]
fn what_is_wrong_with_a_pair_is_named() {
    let ((certificate, key), (_, other)) = (pair(), pair());
    let said = |certificate: &str, key: &str, now_s| read(certificate, key, now_s).expect_err("refused").to_string();
    assert!(said("", &key, NOW_S).contains("no PEM block CERTIFICATE"));
    assert!(said(&certificate, "", NOW_S).contains("no PEM block PRIVATE KEY"));
    assert!(said(&certificate, &certificate, NOW_S).contains("no PEM block PRIVATE KEY"));
    assert!(said(&certificate, &other, NOW_S).contains("does not belong to the certificate"));
    assert!(said(&certificate, &key, NOW_S + 1801).contains("expired on"));
    assert!(said(&certificate, &key, NOW_S - 1801).contains("is not valid before"));
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(said(garbage, &key, NOW_S).contains("the certificate cannot be read"));
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(said(&certificate, garbage, NOW_S).contains("the key cannot be read"));
}

#[test]
fn a_key_is_never_shown() {
    let (certificate, key) = pair();
    let identity = read(&certificate, &key, NOW_S).expect("a pair");
    let shown = format!("{identity:?}");
    assert!(
        shown.starts_with("Identity { names: [\"rollcall.svc\"") && !shown.to_lowercase().contains("key"),
        "{shown}"
    );
}
