//! Certificates for the tests of TLS.

use std::{path::PathBuf, time::SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rollcall_xds::tls::Identity;
use time::{Duration, OffsetDateTime};

/// An authority of a test.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A file that is gone with the test.
pub(crate) struct Bundle(pub(crate) PathBuf);

// === impl Authority ===

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).expect("a certificate");
        let pem = pem::encode(&pem::Pem::new("CERTIFICATE", certificate.der().to_vec()));
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A leaf that is valid now.
    pub(crate) fn leaf(&self, name: &str) -> Identity {
        self.leaf_until(name, Duration::days(1), now_s())
    }

    /// A leaf that ends then, taken at a time when it was good.
    pub(crate) fn leaf_until(&self, name: &str, end: Duration, taken_s: i64) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = OffsetDateTime::now_utc() - Duration::days(2);
        params.not_after = OffsetDateTime::now_utc() + end;
        let certificate = params.signed_by(&key, &self.issuer).expect("a leaf");
        Identity::new(vec![certificate.der().clone()], key.into(), taken_s).expect("an identity")
    }
}

// === impl Bundle ===

impl Bundle {
    pub(crate) fn of(test: &str, authorities: &[&Authority]) -> Self {
        let bundle = Self(std::env::temp_dir().join(format!("rollcall-{test}-{}.crt", std::process::id())));
        bundle.set(authorities);
        bundle
    }

    /// As the kubelet does: the whole file at once.
    pub(crate) fn set(&self, authorities: &[&Authority]) {
        let new = self.0.with_extension("new");
        let pem: String = authorities.iter().map(|authority| &*authority.pem).collect();
        std::fs::write(&new, pem).and_then(|()| std::fs::rename(&new, &self.0)).expect("the file can be written");
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "certificates are valid by the wall clock, which the TLS library reads too"
)]
pub(crate) fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("before the end of time")
}
