//! A client and several servers, of which some go away.

use std::time::Duration;

use rollcall_xds::{
    client::{self, Config, ConfigError},
    resource::ResourceType::Service,
    server::Limits,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{Replica, catalog, reconnect::Reader, resource, soon};

#[tokio::test]
async fn a_client_goes_on_to_the_next_server() {
    let (mut cache, sender) = catalog();
    cache.upsert(Service, resource(Service, "a", "1"));
    sender.send_replace(Some(cache.publish()));
    let (one, two) = (Replica::start(sender.subscribe()).await, Replica::start(sender.subscribe()).await);
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("is bound");
    let mut reader = Reader::start(vec![format!("http://{nobody}"), one.uri(), two.uri()]);
    assert!(reader.disconnected().await.contains("refused"));
    assert_eq!(reader.connected().await, one.uri());
    reader.holding("a", "1").await;
    let two_uri = two.uri();
    one.stop().await;
    assert_eq!(reader.connected().await, two_uri);
    cache.upsert(Service, resource(Service, "a", "2"));
    sender.send_replace(Some(cache.publish()));
    reader.holding("a", "2").await;
    reader.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_server_that_was_found_out_is_tried_when_the_given_ones_are_gone() {
    let (mut cache, sender) = catalog();
    cache.upsert(Service, resource(Service, "a", "1"));
    sender.send_replace(Some(cache.publish()));
    let (one, two) = (Replica::start(sender.subscribe()).await, Replica::start(sender.subscribe()).await);
    let (found, further) = watch::channel(Vec::new());
    let mut reader = Reader::start_config(Config { further, ..Config::new(vec![one.uri()], "test-0") });
    assert_eq!(reader.connected().await, one.uri());
    reader.holding("a", "1").await;
    found.send_replace(vec!["no server".to_owned(), two.uri()]);
    let two_uri = two.uri();
    one.stop().await;
    assert_eq!(reader.connected().await, two_uri);
    cache.upsert(Service, resource(Service, "a", "2"));
    sender.send_replace(Some(cache.publish()));
    reader.holding("a", "2").await;
    reader.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn nothing_is_served_before_the_first_sync() {
    let (mut cache, sender) = catalog();
    let limits = Limits { unsynced_wait: Duration::from_millis(20), ..Limits::default() };
    let replica = Replica::start_at("127.0.0.1:0".parse().expect("an address"), sender.subscribe(), limits).await;
    let mut reader = Reader::start(vec![replica.uri()]);
    assert!(reader.disconnected().await.contains("has not synced yet"));
    cache.upsert(Service, resource(Service, "a", "1"));
    sender.send_replace(Some(cache.publish()));
    reader.connected().await;
    reader.holding("a", "1").await;
    assert!(replica.metrics.streams_refused() >= 1);
    reader.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_stream_waits_for_a_sync_that_is_near() {
    let (mut cache, sender) = catalog();
    let limits = Limits { unsynced_wait: Duration::from_secs(3600), ..Limits::default() };
    let replica = Replica::start_at("127.0.0.1:0".parse().expect("an address"), sender.subscribe(), limits).await;
    let mut reader = Reader::start(vec![replica.uri()]);
    cache.upsert(Service, resource(Service, "a", "1"));
    sender.send_replace(Some(cache.publish()));
    reader.holding("a", "1").await;
    assert_eq!(replica.metrics.streams_refused(), 0);
    reader.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_stream_beyond_the_limit_is_refused_with_the_reason_and_taken_when_there_is_room() {
    let (mut cache, sender) = catalog();
    cache.upsert(Service, resource(Service, "a", "1"));
    sender.send_replace(Some(cache.publish()));
    let limits = Limits { streams_max: 1, ..Limits::default() };
    let replica = Replica::start_at("127.0.0.1:0".parse().expect("an address"), sender.subscribe(), limits).await;
    let mut first = Reader::start(vec![replica.uri()]);
    first.holding("a", "1").await;
    let mut second = Reader::start(vec![replica.uri()]);
    let reason = second.disconnected().await;
    assert!(reason.contains("ResourceExhausted") && reason.contains("1 streams are open"), "{reason}");
    first.stop().await;
    second.connected().await;
    second.stop().await;
    replica.stop().await;
}

/// Between client and server; goes silent without closing when told.
async fn proxy(target: String, mut frozen: watch::Receiver<bool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("is bound");
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&target).await.expect("the server is up");
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = frozen.wait_for(|frozen| *frozen) => kept.push((client, server)),
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_half_open_connection_is_noticed_and_left() {
    let (mut cache, sender) = catalog();
    cache.upsert(Service, resource(Service, "a", "1"));
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let freeze = watch::Sender::new(false);
    let silent = proxy(replica.address.to_string(), freeze.subscribe()).await;
    let mut reader = Reader::start_with(vec![silent.clone(), replica.uri()], Duration::from_secs(2));
    assert_eq!(reader.connected().await, silent);
    reader.holding("a", "1").await;
    freeze.send_replace(true);
    reader.disconnected().await;
    while reader.connected().await != replica.uri() {}
    reader.stop().await;
    // The server still has the other end of the silent connection, so the drain is what ends that stream.
    replica.server.drain();
    replica.task.abort();
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_at_once() {
    let run = async |servers: &[&str]| {
        let servers = servers.iter().map(ToString::to_string).collect();
        soon(client::run(Config::new(servers, "test"), |_| Ok(()), std::future::pending())).await
    };
    assert_eq!(run(&[]).await, Err(ConfigError::NoServer));
    for bad in ["rollcall:8443", "not a uri", "/path"] {
        let error = run(&["http://good:1", bad]).await.expect_err("bad");
        assert!(error.to_string().contains(bad), "{error}");
    }
}
