//! Tests: makes keys and certificates.

use std::sync::Arc;

use rollcall_xds::client::{self, Config, Event};
use rollcall_xds::server::{self, Server};
use rollcall_xds::tls::{Acceptor, Certificates, Incoming, Limits};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::*;

fn names() -> Vec<String> {
    vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]
}

#[test]
fn a_leaf_is_for_its_names_and_ends_with_its_authority() {
    let ca = authority(1_800_000_000, 3600).expect("an authority");
    let short = leaf(&ca, &names(), 1_800_000_000, 600, 0.0).expect("a leaf");
    assert_eq!(short.identity.names(), names());
    let skew_s = i64::try_from(SKEW.as_secs()).expect("small");
    assert_eq!(short.identity.validity().not_before_s, 1_800_000_000 - skew_s);
    assert_eq!(short.identity.validity().not_after_s, 1_800_000_600);
    assert_eq!((short.renew_s, &short.signed_by), (1_800_000_400, &ca.certificate));
    let early = leaf(&ca, &names(), 1_800_000_000, 600, 0.99).expect("a leaf");
    assert_eq!(early.renew_s, 1_800_000_371, "spread over a twentieth of its life");
    let last = leaf(&ca, &names(), 1_800_003_000, 3600, 0.0).expect("a leaf");
    assert_eq!(last.identity.validity().not_after_s, ca.not_after_s);
}

#[test]
fn keys_are_not_shown() {
    let ca = authority(1_800_000_000, 3600).expect("an authority");
    let secret = ca.key.0.lines().nth(1).expect("base64").to_owned();
    let leaf = leaf(&ca, &names(), 1_800_000_000, 600, 0.0).expect("a leaf");
    let shown = format!("{ca:?} {leaf:?}");
    assert!(!shown.contains(&secret) && !shown.contains("PRIVATE"), "{shown}");
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_connects_by_each_name() {
    let now_s = crate::testing::wall_s();
    let ca = authority(now_s, 3600).expect("an authority");
    let bundle = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&bundle, &ca.certificate).expect("written");
    let certificates = Arc::<Certificates>::default();
    certificates.set(leaf(&ca, &names(), now_s, 600, 0.0).expect("a leaf").identity);
    let acceptor = Acceptor::new(certificates, Arc::default(), Limits::default()).expect("an acceptor");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("is bound").port();
    let mut cache = rollcall_xds::cache::Cache::new();
    let snapshots = watch::Sender::new(Some(cache.publish()));
    let server = Server::new(snapshots.subscribe(), server::Limits::default(), Arc::default());
    tokio::spawn(server.into_router().serve_with_incoming(Incoming::tls(listener, acceptor).into_stream()));
    for host in ["localhost", "127.0.0.1"] {
        let config = Config {
            ca_file: Some(bundle.path().to_path_buf()),
            ..Config::new(vec![format!("https://{host}:{port}")], "test")
        };
        let (sender, mut events) = mpsc::unbounded_channel();
        let client = tokio::spawn(client::run(
            config,
            move |event| sender.send(event).map_err(|_| "over".to_owned()),
            std::future::pending(),
        ));
        let event = tokio::time::timeout(std::time::Duration::from_secs(30), events.recv()).await.expect("in time");
        assert!(matches!(event, Some(Event::Connected { .. })), "{host}: {event:?}");
        client.abort();
    }
}
