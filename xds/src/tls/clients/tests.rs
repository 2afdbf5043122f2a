//! Tests: whom a server takes client certificates of, and what a client has shown.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose as Purpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls::pki_types::ServerName};

use super::*;
use crate::tls::{Certificates, Identity, Own, Trust};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A directory that is gone with the test.
struct Folder(PathBuf);

// === impl Authority ===

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { pem: text("CERTIFICATE", certificate.der()), issuer: Issuer::new(params, key) }
    }

    /// Valid from then to then, in days from now; with its key, as PEM.
    fn signs(&self, purpose: Purpose, days: [i64; 2]) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, "vm-17");
        let [from, to] = days.map(|days| OffsetDateTime::now_utc() + Duration::days(days));
        (params.not_before, params.not_after) = (from, to);
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.issuer).expect("a leaf");
        (text("CERTIFICATE", certificate.der()), text("PRIVATE KEY", &key.serialize_der()))
    }
}

// === impl Folder ===

impl Folder {
    fn new(test: &str) -> Self {
        let folder = Self(std::env::temp_dir().join(format!("rollcall-clients-{test}-{}", std::process::id())));
        std::fs::create_dir_all(&folder.0).expect("a folder");
        folder
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("the file can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(tag: &str, der: &[u8]) -> String {
    ::pem::encode(&::pem::Pem::new(tag, der))
}

fn der(pem: &str) -> CertificateDer<'static> {
    ::pem::parse(pem).expect("PEM").into_contents().into()
}

#[test]
fn a_certificate_is_good_or_the_client_is_told_why_not_and_both_are_counted() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let clients = Clients::default();
    let judge = |(certificate, _): &(String, String)| clients.judge(&der(certificate), &[], UnixTime::now());
    let good = ours.signs(Purpose::ClientAuth, [-1, 1]);
    assert_eq!(judge(&good), Shown::Nothing, "nobody was asked yet");

    clients.trust(ours.pem.as_bytes()).expect("an authority");
    assert_eq!(judge(&good), Shown::Verified(Arc::from(&*der(&good.0))));
    let cases = [
        (ours.signs(Purpose::ClientAuth, [-3, -2]), Outcome::Expired, "expired on"),
        (ours.signs(Purpose::ClientAuth, [2, 3]), Outcome::NotYetValid, "is not valid before"),
        (ours.signs(Purpose::ServerAuth, [-1, 1]), Outcome::Purpose, "issue one that has clientAuth"),
        (other.signs(Purpose::ClientAuth, [-1, 1]), Outcome::UnknownAuthority, "issued by one of --client-ca"),
    ];
    for (pair, outcome, words) in cases {
        let Shown::Refused(said) = judge(&pair) else { panic!("{outcome:?} is refused") };
        assert!(said.contains(words), "{said}");
        assert_eq!(clients.outcomes(outcome), 1, "{outcome:?}");
    }
    assert_eq!(clients.outcomes(Outcome::Verified), 1);

    clients.trust(b"nothing of use").expect_err("no authority");
    assert!(matches!(judge(&good), Shown::Verified(_)), "those before stay");
    clients.trust(other.pem.as_bytes()).expect("an authority");
    assert!(matches!(judge(&good), Shown::Refused(_)));
}

#[test]
fn each_outcome_has_a_counter_of_its_own() {
    for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, place, "{outcome:?}");
    }
}

#[test]
fn a_chain_that_would_cost_too_much_ends_the_handshake() {
    let asking = Asking::new(Arc::default());
    let half = CertificateDer::from(vec![0; CHAIN_BYTES_MAX / 2]);
    asking.verify_client_cert(&half, std::slice::from_ref(&half), UnixTime::now()).expect("just fits");
    let more = [half.clone(), CertificateDer::from(vec![0])];
    let error = asking.verify_client_cert(&half, &more, UnixTime::now()).expect_err("too many");
    assert!(error.to_string().contains("12289 bytes; 12288 at most"), "{error}");
}

/// What a server of this authority sees of a client that has these files.
async fn seen(certificates: &Arc<Certificates>, trust: &Trust) -> Shown {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("is bound");
    let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config_for(&[]).expect("settings")));
    let serves = async {
        let (tcp, _) = listener.accept().await.expect("a connection");
        let tls = acceptor.accept(tcp).await.expect("a handshake, whatever is shown");
        certificates.clients().shown(tls.get_ref().1)
    };
    let calls = async {
        let config = trust.config().await.expect("settings");
        let tcp = TcpStream::connect(address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(config).connect(name, tcp).await.expect("a handshake, whatever is shown")
    };
    tokio::join!(serves, calls).0
}

#[tokio::test]
async fn a_client_shows_what_its_files_hold_as_soon_as_it_is_asked() {
    let (ours, other, folder) = (Authority::new("ours"), Authority::new("other"), Folder::new("shown"));
    let now_s = OffsetDateTime::now_utc().unix_timestamp();
    let (certificate, key) = ours.signs(Purpose::ServerAuth, [-1, 1]);
    let certificates = Arc::new(Certificates::asking(Arc::default()));
    certificates.set(Identity::from_pem(certificate.as_bytes(), key.as_bytes(), now_s).expect("the server's"));
    let bundle = folder.file("ca.crt", &ours.pem);
    let write = |(certificate, key): &(String, String)| Own {
        certificate: folder.file("tls.crt", certificate),
        key: folder.file("tls.key", key),
    };
    let mine = ours.signs(Purpose::ClientAuth, [-1, 1]);
    let (with, without) = (Trust::new(bundle.clone(), Some(write(&mine))), Trust::new(bundle, None));
    assert_eq!(seen(&certificates, &with).await, Shown::Nothing, "nobody asks");

    certificates.clients().trust(ours.pem.as_bytes()).expect("an authority");
    assert_eq!(seen(&certificates, &without).await, Shown::Nothing, "and it is let in");
    assert_eq!(seen(&certificates, &with).await, Shown::Verified(Arc::from(&*der(&mine.0))));
    write(&other.signs(Purpose::ClientAuth, [-1, 1]));
    assert!(matches!(seen(&certificates, &with).await, Shown::Refused(_)), "the next connect reads the files again");
    write(&(mine.0.clone(), "not a key".to_owned()));
    assert!(matches!(seen(&certificates, &with).await, Shown::Refused(_)), "what was good last is shown");
    let said = Trust::new(folder.0.join("ca.crt"), with_files(&folder)).config().await.expect_err("no key");
    assert!(said.contains("tls.key) cannot") || said.contains("tls.key): the key holds no PEM"), "{said}");
}

fn with_files(folder: &Folder) -> Option<Own> {
    Some(Own { certificate: folder.0.join("tls.crt"), key: folder.0.join("tls.key") })
}
