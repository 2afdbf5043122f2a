//! Tests: TLS, for every kind of check that uses it.

use std::sync::Mutex;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use time::{Duration as Days, OffsetDateTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};

use super::*;
use crate::definition::{Alias, SecretKey, Tls, TlsHandshake, Verify};
use crate::probe::{Answer, ClientCertificate, Credentials, Surroundings};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names that ends after so many days.
    fn issue(&self, names: &[&str], days: i64) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).expect("names");
        let now =
            OffsetDateTime::from_unix_timestamp(UnixTime::now().as_secs().try_into().expect("a time")).expect("a time");
        (params.not_before, params.not_after) = (now - Days::days(100), now + Days::days(days) + Days::hours(1));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.signed_by(&key, &self.0).expect("signed"), key)
    }

    /// A server that asks for a client's certificate if it is to, and answers 200 to each connection.
    async fn serves(&self, names: &[&str], days: i64, asks: bool) -> SocketAddr {
        let (certificate, key) = self.issue(names, days);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.expect("versions");
        let builder = if asks {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("roots"))
        } else {
            builder.with_no_client_auth()
        };
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let _ = stream.read(&mut [0; 1024]).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        address
    }

    fn trusted(&self) -> Tls {
        Tls { authorities: Some(self.pem().into()), ..Tls::default() }
    }
}

fn https(tls: Tls) -> Check {
    check(CheckKind::Http(Http { tls: Some(tls), ..Http::get("/") }))
}

fn handshake(tls: Tls) -> Check {
    check(CheckKind::Tls(TlsHandshake { tls, warning_days: 14, critical_days: 3 }))
}

#[tokio::test]
async fn https_is_asked_as_http_is_and_its_certificate_has_to_be_in_order() {
    let authority = Authority::new();
    let up = authority.serves(&["shop.example", "127.0.0.1"], 90, false).await;
    assert_eq!(said(&https(authority.trusted()), up).await, format!("ok: check web: GET https://{up}/ answered 200"));
    let named = Tls { server_name: Some("shop.example".into()), ..authority.trusted() };
    assert!(said(&https(named), up).await.starts_with("ok:"));
    let hosted = Http { host: Some("shop.example:443".into()), tls: Some(authority.trusted()), ..Http::get("/") };
    assert!(said(&check(CheckKind::Http(hosted)), up).await.starts_with("ok:"));
    let other = Tls { server_name: Some("pay.example".into()), ..authority.trusted() };
    let other = said(&https(other), up).await;
    assert!(other.contains("is not for pay.example") && other.ends_with("as tls.serverName"), "{other}");
    let stranger = said(&https(Authority::new().trusted()), up).await;
    assert!(stranger.contains("not trusted") && stranger.ends_with("in tls.caBundle"), "{stranger}");
    let insecure = Tls { verify: Verify::KeyOnly, ..Tls::default() };
    assert!(said(&https(insecure), up).await.starts_with("ok:"), "as its owner wrote");
}

#[tokio::test]
async fn a_certificate_is_judged_by_the_days_that_it_lasts() {
    let authority = Authority::new();
    let ask = async |days, tls| said(&handshake(tls), authority.serves(&["127.0.0.1"], days, false).await).await;
    let long = ask(90, authority.trusted()).await;
    assert!(
        long.starts_with("ok: check web: TLS with 127.0.0.1:") && long.contains("a certificate that lasts until 2"),
        "{long}"
    );
    let soon = ask(9, authority.trusted()).await;
    assert!(soon.starts_with("warns:") && soon.ends_with("in 9 days; renew it"), "{soon}");
    let near = ask(2, authority.trusted()).await;
    assert!(near.starts_with("bad:") && near.contains("fewer than criticalDays 3"), "{near}");
    let over = ask(-2, authority.trusted()).await;
    assert!(over.starts_with("bad:") && over.contains("expired on 2"), "{over}");
    let insecure = Tls { verify: Verify::KeyOnly, ..Tls::default() };
    assert!(ask(-2, insecure).await.contains("expired on 2"), "the time is judged all the same");
}

#[tokio::test]
async fn a_server_without_tls_is_told() {
    for check in [https(Authority::new().trusted()), handshake(Authority::new().trusted())] {
        let plain = said(&check, answers("HTTP/1.1 400 Bad Request\r\n\r\n").await).await;
        assert!(plain.starts_with("bad:") && plain.contains("not TLS"), "{plain}");
        let closed = said(&check, server(|stream| async move { drop(stream) }).await).await;
        assert!(closed.starts_with("bad:") && closed.contains("TLS handshake"), "{closed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_ends_at_the_timeout() {
    let brief = Check { timeout: Duration::from_millis(300), ..handshake(Authority::new().trusted()) };
    assert!(said(&brief, hangs().await).await.ends_with("got no answer within 0.3 s"));
}

/// A process that has one Secret, or says why not.
struct Keeps(Mutex<Result<Arc<Credentials>, Name>>);

impl Surroundings for Keeps {
    fn secret<'a>(&'a self, _: &'a SecretKey) -> Answer<'a> {
        Box::pin(std::future::ready(self.0.lock().expect("no panic").clone()))
    }

    fn alias(&self, _: &Alias) -> Outcome {
        Outcome::Failure("not asked".into())
    }
}

#[tokio::test]
async fn a_client_shows_the_certificate_of_its_secret() {
    let authority = Authority::new();
    let target = authority.serves(&["127.0.0.1"], 90, true).await;
    let (certificate, key) = authority.issue(&["probe"], 90);
    let secret = SecretKey { namespace: "shop".into(), name: "probe".into() };
    let by_secret = https(Tls { secret: Some(secret), ..Tls::default() });
    let credentials = |key: &str| {
        Ok(Arc::new(Credentials {
            certificate: Some(ClientCertificate {
                chain: certificate.pem().into_bytes().into(),
                key: key.as_bytes().into(),
            }),
            authorities: Some(authority.pem().into_bytes().into()),
        }))
    };
    let ask = async |secret| {
        let probes = Probes::new(Network).with(Arc::new(Keeps(Mutex::new(secret))));
        probes.probe(&by_secret, target).await
    };
    let shown = ask(credentials(&key.serialize_pem())).await;
    assert!(matches!(shown, Outcome::Success(_)), "{shown:?}");
    let none = said(&https(authority.trusted()), target).await;
    assert!(none.starts_with("bad:"), "{none}");
    let missing = ask(Err("Secret shop/probe does not exist; create it".into())).await;
    assert!(
        matches!(&missing, Outcome::LocalFault(LocalFault::Credentials, saw) if saw.contains("does not exist")),
        "{missing:?}"
    );
    let nonsense = ask(credentials("no key")).await;
    assert!(
        matches!(&nonsense, Outcome::LocalFault(LocalFault::Credentials, saw) if saw.contains("tls.key")),
        "{nonsense:?}"
    );
}
