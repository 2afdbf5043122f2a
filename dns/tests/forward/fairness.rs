//! What one party asks for does not keep others from their answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout};

use crate::server::{Catalog, Dns, SECONDS, addresses, codes, query, query_with_edns};
use crate::upstream::{Upstream, add_addresses, answer};

const INSIDE: &str = "db.shop.svc.cluster.local.";

/// A server that is silent about names below `dead.example` and knows all others.
async fn silent_about_the_dead() -> Upstream {
    Upstream::start(|asked| {
        if asked.message.queries[0].name().to_ascii().to_lowercase().ends_with("dead.example.") {
            return Vec::new();
        }
        vec![answer(asked, |message| add_addresses(message, &[[192, 0, 2, 1]]))]
    })
    .await
}

/// A server with a catalog that is ready.
async fn ready(upstream: &Upstream, further: &[&str]) -> (Dns, Catalog) {
    let catalog = Catalog::start().await;
    let dns = Dns::start_with(&catalog.url, &[&upstream.addr.to_string()], further).await;
    catalog.publish("api.example.com");
    for gate in ["forward", "catalog"] {
        dns.wait_for_gate(gate, |closed| closed.is_none()).await;
    }
    (dns, catalog)
}

fn framed(message: &Message) -> Vec<u8> {
    let bytes = message.to_vec().unwrap();
    [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()
}

async fn read(stream: &mut TcpStream) -> Message {
    let len = timeout(SECONDS, stream.read_u16()).await.expect("an answer over TCP").unwrap();
    let mut bytes = vec![0; usize::from(len)];
    stream.read_exact(&mut bytes).await.unwrap();
    Message::from_vec(&bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_below_a_dead_domain_leave_other_names_their_answers() {
    let upstream = silent_about_the_dead().await;
    let (dns, _catalog) = ready(&upstream, &["--forward-in-flight", "100"]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let refused = r#"rollcall_dns_forward_failures_total{reason="too_many_of_domain"}"#;
    let begin = Instant::now();
    let mut n = 0;
    // Until far more were asked than there are seats.
    while dns.metric(refused).await < 200.0 {
        for _ in 0..50 {
            n += 1;
            socket.send_to(&query(&format!("n{n}.dead.example.")).to_vec().unwrap(), dns.addr).await.unwrap();
        }
        assert!(begin.elapsed() < SECONDS, "{}", dns.metrics().await);
    }
    for name in ["www.example.com.", "www.example.org.", "living.example."] {
        let answer = loop {
            if let Some(answer) = dns.udp_within(&query(name), Duration::from_secs(2)).await {
                break answer;
            }
            assert!(begin.elapsed() < SECONDS, "{name}: {}", dns.metrics().await);
        };
        assert_eq!(addresses(&answer), ["192.0.2.1"], "{name}: {}", dns.metrics().await);
    }
    assert_eq!(dns.metric(r#"rollcall_dns_forward_failures_total{reason="too_many"}"#).await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_connection_a_slow_name_holds_up_no_other() {
    let upstream = silent_about_the_dead().await;
    let (dns, _catalog) = ready(&upstream, &[]).await;
    let mut stream = TcpStream::connect(dns.addr).await.unwrap();
    let numbered = |id: u16, name: &str| {
        let mut message = query(name);
        message.metadata.id = id;
        framed(&message)
    };
    let all =
        [numbered(1, "slow.dead.example."), numbered(2, INSIDE), numbered(3, "www.example.com."), numbered(4, INSIDE)];
    stream.write_all(&all.concat()).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(read(&mut stream).await.metadata.id);
    }
    assert_eq!(ids[3], 1, "the slow one comes last: {ids:?}");
    let inside: Vec<_> = ids.iter().filter(|id| [2, 4].contains(id)).collect();
    assert_eq!(inside, [&2, &4], "{ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_wait_for_a_silent_server_shut_nobody_out() {
    let upstream = silent_about_the_dead().await;
    let (dns, _catalog) = ready(&upstream, &["--tcp-connections", "8"]).await;
    let mut waiting = Vec::new();
    for n in 0..24 {
        let mut stream = TcpStream::connect(dns.addr).await.unwrap();
        stream.write_all(&framed(&query(&format!("n{n}.dead.example.")))).await.unwrap();
        waiting.push(stream);
    }
    dns.wait_for_metric("rollcall_dns_forward_in_flight", 24.0).await;
    assert_eq!(addresses(&dns.tcp(&[query(INSIDE)]).await[0]), ["10.1.0.1"]);
    // Each of them is told in the end.
    for stream in &mut waiting {
        assert_eq!(codes(&read(stream).await).0, ResponseCode::ServFail);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_query_that_has_come_is_lost_when_there_are_more_clients_than_seats() {
    let upstream = silent_about_the_dead().await;
    let (dns, _catalog) = ready(&upstream, &["--tcp-connections", "10"]).await;
    let (addr, unanswered) = (dns.addr, Arc::new(AtomicUsize::new(0)));
    let client = |unanswered: Arc<AtomicUsize>| async move {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            // Sent with the connection: what is closed for another afterwards has come already, or was never accepted.
            if stream.write_all(&framed(&query(INSIDE))).await.is_err() {
                continue;
            }
            match timeout(SECONDS, stream.read_u16()).await.expect("an answer or an end") {
                Ok(len) => assert!(len > 12),
                Err(_) => drop(unanswered.fetch_add(1, Ordering::Relaxed)),
            }
        }
    };
    let clients: Vec<_> = (0..20).map(|_| tokio::spawn(client(Arc::clone(&unanswered)))).collect();
    for client in clients {
        client.await.unwrap();
    }
    let dropped = dns.metric(r#"rollcall_dns_dropped_total{transport="tcp",reason="too_many_connections"}"#).await;
    let lost = unanswered.load(Ordering::Relaxed) as f64;
    // One that was closed before its query came, or not let in at all, is counted.
    assert!(lost <= dropped, "{lost} unanswered, {dropped} counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_not_asked_again_at_once() {
    let upstream =
        Upstream::start(|asked| vec![answer(asked, |message| message.metadata.response_code = ResponseCode::ServFail)])
            .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    let name = "www.example.com.";
    let remembered = r#"rollcall_dns_forward_failures_total{reason="remembered"}"#;
    let begin = Instant::now();
    // A machine that is slow may take longer than the failure is remembered: then once more.
    while dns.metric(remembered).await < 1.0 {
        let asked_before = upstream.asked().len();
        assert_eq!(codes(&dns.udp(&query(name)).await).0, ResponseCode::ServFail);
        let again = codes(&dns.udp(&query_with_edns(name, 1232)).await);
        assert_eq!(again.0, ResponseCode::ServFail);
        if dns.metric(remembered).await >= 1.0 {
            assert_eq!(again.1, Some(13), "an error that is remembered");
            assert!(upstream.asked().len() <= asked_before + 1);
        }
        assert!(begin.elapsed() < SECONDS);
    }
    // Another name, and later the same one, are asked.
    dns.udp(&query("other.example.com.")).await;
    assert!(upstream.asked().iter().any(|asked| asked.message.queries[0].name().to_ascii() == "other.example.com."));
    let asked_before = upstream.asked().len();
    while upstream.asked().len() == asked_before {
        sleep(Duration::from_millis(100)).await;
        dns.udp(&query(name)).await;
        assert!(begin.elapsed() < SECONDS);
    }
}
