//! Tests: handshakes of TLS under way, in bounded number.

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use super::*;

#[tokio::test]
async fn one_that_does_not_end_keeps_no_memory_of_those_that_did() {
    let long = Duration::from_secs(3600);
    let limits = Limits { handshakes_max: 2, timeout: long, patience: long };
    let acceptor = Acceptor::new(Arc::default(), Arc::default(), limits).expect("the build has what it needs");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("is bound");
    let places = Arc::new(Semaphore::new(100));
    let begin = async |handshakes: &mut Handshakes| {
        let client = TcpStream::connect(address).await.expect("a connection");
        let (tcp, peer) = listener.accept().await.expect("a connection");
        let place = places.clone().try_acquire_owned().expect("a place");
        handshakes.begin(Accepted { tcp, peer, place });
        client
    };
    let mut handshakes = Handshakes::new(acceptor);
    let _silent = begin(&mut handshakes).await;
    for _ in 0..50 {
        drop(begin(&mut handshakes).await);
        assert!(handshakes.next().await.is_none(), "it was closed");
        assert!(handshakes.begun.len() <= 2 * limits.handshakes_max + 1, "{}", handshakes.begun.len());
    }
    assert_eq!(handshakes.acceptor.metrics.failures(Failure::Closed), 50);
    assert_eq!(places.available_permits(), 99, "each gave its place back");
}
