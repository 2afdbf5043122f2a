//! Tests: connections as they come, in bounded number.

use super::*;

#[tokio::test]
async fn connections_do_not_delay_small_messages_and_notice_dead_peers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("is bound");
    let _client = TcpStream::connect(address).await.expect("a connection");
    let door = Door::new(Bounds::default(), Arc::default());
    let accepted = door.admit(listener.accept().await).await.expect("a place");
    assert!(accepted.tcp.nodelay().expect("can be asked"));
    let socket = SockRef::from(&accepted.tcp);
    assert!(socket.keepalive().expect("can be asked"));
    assert_eq!(socket.tcp_keepalive_time().expect("can be asked"), Duration::from_secs(30));
}

#[test]
fn there_is_room_for_more_connections_than_streams() {
    assert_eq!(Bounds::for_streams(10_000).connections_max, 11_024);
    assert_eq!(Bounds::for_streams(usize::MAX).connections_max, usize::MAX);
    let door = Door::new(Bounds::for_streams(usize::MAX), Arc::default());
    assert_eq!(door.places.available_permits(), Semaphore::MAX_PERMITS);
}
