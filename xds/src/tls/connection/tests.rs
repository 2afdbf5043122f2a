//! Tests: an accepted connection, held to what a client may cost before and beside its requests.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use super::*;

/// The two ends of a connection that is closed after `timeout` without a preface.
async fn connection(timeout: Duration, metrics: &Arc<Metrics>) -> (TcpStream, Connection) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("is bound")).await.expect("a connection");
    let (server, _) = listener.accept().await.expect("a connection");
    let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place");
    (client, Connection::new((Io::Plain(server), Shown::Nothing), place, timeout, metrics.clone()))
}

#[tokio::test]
async fn a_client_that_stops_within_its_preface_is_too_late_at_its_time() {
    let metrics = Arc::<Metrics>::default();
    let (mut client, mut server) = connection(Duration::from_millis(20), &metrics).await;
    client.write_all(&[b'P'; PREFACE_BYTES - 1]).await.expect("written");
    let mut read = Vec::new();
    let error = server.read_to_end(&mut read).await.expect_err("too late");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    assert_eq!(metrics.failures(Failure::Timeout), 1);
}

#[tokio::test]
async fn a_client_that_has_sent_its_preface_may_be_silent_for_ever() {
    let metrics = Arc::<Metrics>::default();
    let (mut client, mut server) = connection(Duration::from_secs(3600), &metrics).await;
    for part in [&[b'P'; PREFACE_BYTES - 1][..], &[b'P'; 1]] {
        assert!(server.preface.is_some(), "not the whole preface yet");
        client.write_all(part).await.expect("written");
        server.read_exact(&mut vec![0; part.len()]).await.expect("it comes");
    }
    assert!(server.preface.is_none(), "nothing waits any more");
    drop(client);
    assert_eq!(server.read(&mut [0; 1]).await.expect("the end"), 0);
}
