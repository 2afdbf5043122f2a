//! The stream over TLS.

use std::{io::ErrorKind, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use rollcall_xds::{
    client::Config,
    resource::ResourceType::Service,
    server::Limits as Streams,
    tls::{Acceptor, Certificates, Failure, Limits, Metrics},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Replica,
    authority::{Authority, Bundle, now_s},
    catalog,
    reconnect::Reader,
    resource, soon,
};

/// What a server with TLS needs, and what it counted.
#[derive(Default)]
struct Tls {
    certificates: Arc<Certificates>,
    metrics: Arc<Metrics>,
}

// === impl Tls ===

impl Tls {
    fn acceptor(&self, limits: Limits) -> Acceptor {
        Acceptor::new(self.certificates.clone(), self.metrics.clone(), limits).expect("the build has what it needs")
    }
}

/// A server that has `a` = 1.
async fn replica(tls: &Tls, limits: Limits) -> Replica {
    let (mut cache, sender) = catalog();
    cache.upsert(Service, resource(Service, "a", "1"));
    sender.send_replace(Some(cache.publish()));
    Replica::start_tls(any_port(), sender.subscribe(), tls.acceptor(limits)).await
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

fn reader(server: String, ca_file: impl Into<PathBuf>) -> Reader {
    Reader::start_config(Config { ca_file: Some(ca_file.into()), ..Config::new(vec![server], "test-0") })
}

fn https(address: SocketAddr) -> String {
    format!("https://{address}")
}

/// Why a client of `server` is kept out.
async fn refusal(server: String, ca_file: impl Into<PathBuf>) -> String {
    let mut reader = reader(server, ca_file);
    let reason = reader.disconnected().await;
    reader.stop().await;
    reason
}

#[tokio::test]
async fn a_new_leaf_is_for_new_connections_and_open_streams_go_on() {
    let (authority, tls) = (Authority::new("one"), Tls::default());
    let bundle = Bundle::of("leaf", &[&authority]);
    let (mut cache, sender) = catalog();
    cache.upsert(Service, resource(Service, "a", "1"));
    sender.send_replace(Some(cache.publish()));
    tls.certificates.set(authority.leaf("127.0.0.1"));
    let replica = Replica::start_tls(any_port(), sender.subscribe(), tls.acceptor(Limits::default())).await;
    let mut open = reader(https(replica.address), &bundle.0);
    open.holding("a", "1").await;

    tls.certificates.set(authority.leaf("other.example"));
    let said = refusal(https(replica.address), &bundle.0).await;
    assert!(said.contains("is for other.example, not for 127.0.0.1"), "a new connection gets the new one: {said}");
    cache.upsert(Service, resource(Service, "b", "1"));
    sender.send_replace(Some(cache.publish()));
    open.holding("b", "1").await;
    assert_eq!(replica.metrics.streams_accepted(), 1, "the stream that was open goes on");
    open.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_server_called_by_its_address_is_known_by_the_name_that_is_given() {
    let (authority, tls) = (Authority::new("named"), Tls::default());
    let bundle = Bundle::of("named", &[&authority]);
    let (mut cache, sender) = catalog();
    cache.upsert(Service, resource(Service, "a", "1"));
    sender.send_replace(Some(cache.publish()));
    tls.certificates.set(authority.leaf("rollcall-controller.rollcall-system.svc"));
    let replica = Replica::start_tls(any_port(), sender.subscribe(), tls.acceptor(Limits::default())).await;
    let named = |name: &str| Config {
        ca_file: Some(bundle.0.clone()),
        server_name: Some(name.to_owned()),
        ..Config::new(vec![https(replica.address)], "test-0")
    };
    let mut right = Reader::start_config(named("rollcall-controller.rollcall-system.svc"));
    right.holding("a", "1").await;
    right.stop().await;
    let mut wrong = Reader::start_config(named("other.example"));
    let said = wrong.disconnected().await;
    assert!(said.contains("is for rollcall-controller.rollcall-system.svc, not for other.example"), "{said}");
    wrong.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn an_authority_changes_over_an_overlap_and_no_reconnect_fails() {
    let (old, new, tls) = (Authority::new("old"), Authority::new("new"), Tls::default());
    let bundle = Bundle::of("overlap", &[&old]);
    let (mut cache, sender) = catalog();
    cache.upsert(Service, resource(Service, "a", "1"));
    sender.send_replace(Some(cache.publish()));
    tls.certificates.set(old.leaf("localhost"));
    let mut replica = Replica::start_tls(any_port(), sender.subscribe(), tls.acceptor(Limits::default())).await;
    let address = replica.address;
    let mut reader = reader(format!("https://localhost:{}", address.port()), &bundle.0);
    reader.holding("a", "1").await;
    let phases: [(&[&Authority], Option<&Authority>); 3] =
        [(&[&old, &new], None), (&[&old, &new], Some(&new)), (&[&new], None)];
    for (trusted, signing) in phases {
        bundle.set(trusted);
        if let Some(authority) = signing {
            tls.certificates.set(authority.leaf("localhost"));
        }
        replica.stop().await;
        replica = Replica::start_tls(address, sender.subscribe(), tls.acceptor(Limits::default())).await;
        reader.connected().await;
    }
    assert_eq!(tls.metrics.failures(Failure::Rejected), 0);
    reader.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_refusal_names_what_is_wrong_and_what_to_do() {
    let (ours, theirs, tls) = (Authority::new("ours"), Authority::new("theirs"), Tls::default());
    let (good, foreign) = (Bundle::of("good", &[&ours]), Bundle::of("foreign", &[&theirs]));
    let empty = Bundle::of("empty", &[]);
    let replica = replica(&tls, Limits::default()).await;
    let at = format!("{}", replica.address);
    let said = refusal(https(replica.address), &good.0).await;
    assert!(said.contains(&format!("{at} has no certificate yet")) && said.contains("readiness"), "{said}");

    tls.certificates.set(ours.leaf("127.0.0.1"));
    let said = refusal(https(replica.address), &foreign.0).await;
    let expected =
        format!("certificate of {at} is not signed by the bundle in {}: give the ca.crt", foreign.0.display());
    assert!(said.starts_with(&expected), "{said}");
    let said = refusal(https(replica.address), "/nowhere/ca.crt").await;
    assert!(said.starts_with("no file /nowhere/ca.crt yet: the controller writes it"), "{said}");
    assert!(said.contains("ConfigMap") && said.contains("is that mounted here"), "{said}");
    let said = refusal(https(replica.address), &empty.0).await;
    assert!(said.contains("no PEM block CERTIFICATE"), "{said}");

    tls.certificates.set(ours.leaf_until("127.0.0.1", time::Duration::hours(-1), now_s() - 2 * 3600));
    let said = refusal(https(replica.address), &good.0).await;
    assert!(said.contains("expired on") && said.contains("could not renew it"), "{said}");
    tls.certificates.set(ours.leaf("rollcall.svc"));
    let said = refusal(https(replica.address), &good.0).await;
    assert!(said.contains("is for rollcall.svc, not for 127.0.0.1") && said.contains("--tls-dns-name"), "{said}");

    assert!(tls.metrics.failures(Failure::NoCertificate) >= 1);
    // The server counts when it reads the client's alert.
    soon(async {
        while tls.metrics.failures(Failure::Rejected) < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    replica.stop().await;
}

#[tokio::test]
async fn a_bundle_that_comes_later_is_found() {
    let (authority, tls) = (Authority::new("late"), Tls::default());
    tls.certificates.set(authority.leaf("localhost"));
    let replica = replica(&tls, Limits::default()).await;
    let path = std::env::temp_dir().join(format!("rollcall-late-{}.crt", std::process::id()));
    let mut reader = reader(format!("https://localhost:{}", replica.address.port()), &path);
    assert!(reader.disconnected().await.contains("no file"));
    let _bundle = Bundle::of("late", &[&authority]);
    reader.connected().await;
    reader.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_client_without_tls_is_told_to_use_it() {
    let (authority, tls) = (Authority::new("one"), Tls::default());
    tls.certificates.set(authority.leaf("127.0.0.1"));
    let replica = replica(&tls, Limits::default()).await;
    let mut reader = Reader::start(vec![replica.uri()]);
    let said = reader.disconnected().await;
    assert!(said.contains("the server speaks TLS; name it with https://"), "{said}");
    assert!(tls.metrics.failures(Failure::Plaintext) >= 1, "{:?}", tls.metrics);
    reader.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_client_with_tls_is_told_when_the_server_has_none() {
    let bundle = Bundle::of("plain", &[&Authority::new("one")]);
    let (mut cache, sender) = catalog();
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start_at(any_port(), sender.subscribe(), Streams::default()).await;
    let said = refusal(https(replica.address), &bundle.0).await;
    assert!(said.contains("does not speak TLS; name it with http://"), "{said}");
    replica.stop().await;
}

#[tokio::test]
async fn handshakes_that_never_end_give_way_to_others() {
    let (authority, tls) = (Authority::new("one"), Tls::default());
    let bundle = Bundle::of("slow", &[&authority]);
    tls.certificates.set(authority.leaf("127.0.0.1"));
    let limits = Limits { handshakes_max: 4, timeout: crate::PATIENCE, patience: Duration::from_millis(50) };
    let replica = replica(&tls, limits).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(replica.address).await.expect("the kernel's queue has room"));
    }
    let mut reader = reader(https(replica.address), &bundle.0);
    reader.connected().await;
    assert!(tls.metrics.failures(Failure::Crowded) >= 16, "{:?}", tls.metrics);
    reader.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_handshake_ends_at_its_time() {
    let (authority, tls) = (Authority::new("one"), Tls::default());
    tls.certificates.set(authority.leaf("127.0.0.1"));
    let replica = replica(&tls, Limits { timeout: Duration::from_millis(50), ..Limits::default() }).await;
    let mut silent = TcpStream::connect(replica.address).await.expect("a connection");
    // The beginning of a ClientHello that does not go on.
    silent.write_all(&[0x16, 3, 1, 1, 0]).await.expect("written");
    let read = soon(silent.read(&mut [0; 1])).await;
    assert!(matches!(&read, Ok(0)) || read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert_eq!(tls.metrics.failures(Failure::Timeout), 1);
    replica.stop().await;
}
