//! Servers that are silent, gone or talk nonsense.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep};

use crate::server::{Catalog, Dns, SECONDS, addresses, codes, query, query_with_edns};
use crate::upstream::{Asked, Upstream, add_addresses, answer, is_look};

const NAME: &str = "www.example.com.";
const USABLE: &str = r#"rollcall_dns_forward_upstreams{state="usable"}"#;
const HELD_DOWN: &str = r#"rollcall_dns_forward_upstreams{state="held_down"}"#;

/// An address where nothing listens for as long as the socket is kept: it takes datagrams of itself alone.
async fn nobody() -> (String, UdpSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    socket.connect(addr).await.unwrap();
    (addr.to_string(), socket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_passed_over_and_then_held_down_until_it_answers() {
    let silenced = Arc::new(AtomicBool::new(false));
    let silent = Upstream::silenced_by(Arc::clone(&silenced)).await;
    let good = Upstream::with_address([192, 0, 2, 1]).await;
    let dns = Dns::start(&[&silent.addr.to_string(), &good.addr.to_string()]).await;
    dns.wait_for_metric(USABLE, 2.0).await;
    silenced.store(true, Ordering::Relaxed);
    let begin = Instant::now();
    assert_eq!(addresses(&dns.udp(&query(NAME)).await), ["192.0.2.1"]);
    let took = begin.elapsed();
    assert!(took.as_millis() >= 1900, "the next one is asked after 2 s: {took:?}");
    dns.wait_for_metric(HELD_DOWN, 1.0).await;
    let asked_before = silent.asked().len();
    assert_eq!(addresses(&dns.udp(&query(NAME)).await), ["192.0.2.1"]);
    assert_eq!(silent.asked().len(), asked_before, "it goes last");
    silenced.store(false, Ordering::Relaxed);
    dns.wait_for_metric(USABLE, 2.0).await;
}

/// A server that is silent about names that begin with `slow`, which it counts, answers looks after a second, and the
/// rest at once.
async fn silent_about_slow_names(slow: Arc<AtomicUsize>) -> String {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let addr = socket.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut bytes = [0; 4096];
        loop {
            let (len, from) = socket.recv_from(&mut bytes).await.unwrap();
            let asked = Asked { message: Message::from_vec(&bytes[..len]).unwrap(), from, tcp: false };
            if asked.message.queries[0].name().to_ascii().starts_with("slow") {
                slow.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let delay = Duration::from_secs(u64::from(is_look(&asked.message)));
            let (socket, answer) =
                (Arc::clone(&socket), answer(&asked, |message| add_addresses(message, &[[10, 0, 0, 1]])));
            tokio::spawn(async move {
                sleep(delay).await;
                socket.send_to(&answer, from).await.unwrap();
            });
        }
    });
    addr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_silent_about_some_names_alone_keeps_its_place() {
    let slow = Arc::new(AtomicUsize::new(0));
    let inside = silent_about_slow_names(Arc::clone(&slow)).await;
    let outside = Upstream::with_address([192, 0, 2, 1]).await;
    let dns = Dns::start(&[&inside, &outside.addr.to_string()]).await;
    // A machine that is slow may make the first seem away: then once more. A server that was held down would be so for
    // the second that a look takes.
    let begin = Instant::now();
    loop {
        dns.wait_for_metric(USABLE, 2.0).await;
        let slow_before = slow.load(Ordering::Relaxed);
        for _ in 0..2 {
            assert_eq!(addresses(&dns.udp(&query("slow.example.com.")).await), ["192.0.2.1"]);
        }
        let asked_twice = slow.load(Ordering::Relaxed) >= slow_before + 2;
        let answer = addresses(&dns.udp(&query("db.corp.example.")).await);
        if asked_twice && answer == ["10.0.0.1"] {
            break;
        }
        assert!(begin.elapsed() < SECONDS, "{answer:?}: two slow names hold a server down");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resolver_that_cannot_ask_the_root_is_usable() {
    let upstream = Upstream::start_raw(|asked| match asked.message.metadata.recursion_desired {
        true => Vec::new(),
        false => vec![answer(asked, |message| message.metadata.response_code = ResponseCode::Refused)],
    })
    .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    dns.wait_for_metric(USABLE, 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_datagram_is_sent_again_to_the_only_server() {
    let asked_before = AtomicBool::new(false);
    let upstream = Upstream::start(move |asked| {
        let first = !asked_before.swap(true, Ordering::Relaxed);
        if first { Vec::new() } else { vec![answer(asked, |_| {})] }
    })
    .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    assert_eq!(codes(&dns.udp(&query(NAME)).await).0, ResponseCode::NoError);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_are_silent_the_answer_is_servfail_within_five_seconds() {
    let silent = [Upstream::start(|_| Vec::new()).await, Upstream::start(|_| Vec::new()).await];
    let targets = silent.each_ref().map(|upstream| upstream.addr.to_string());
    let dns = Dns::start(&targets.each_ref().map(String::as_str)).await;
    let begin = Instant::now();
    let answer = dns.udp(&query_with_edns(NAME, 1232)).await;
    assert_eq!(codes(&answer), (ResponseCode::ServFail, Some(22)));
    let took = begin.elapsed();
    assert!(took.as_millis() >= 4900, "given up before all servers had their time: {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_listens_the_answer_is_servfail_at_once() {
    let (first, second) = (nobody().await, nobody().await);
    let dns = Dns::start(&[&first.0, &second.0]).await;
    assert_eq!(codes(&dns.udp(&query_with_edns(NAME, 1232)).await), (ResponseCode::ServFail, Some(23)));
    assert_eq!(codes(&dns.tcp(&[query(NAME)]).await[0]), (ResponseCode::ServFail, None));
    // Nobody was waited for.
    assert_eq!(dns.metric(r#"rollcall_dns_forward_failures_total{reason="timeout"}"#).await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_servfail_and_the_server_goes_on() {
    let upstream = Upstream::start(|asked| {
        let mut bytes = answer(asked, |message| add_addresses(message, &[[192, 0, 2, 1]]));
        match asked.message.queries[0].name().to_ascii().as_str() {
            "cut.example.com." => bytes.truncate(bytes.len() - 20),
            "counts.example.com." => bytes[6] = 0xff,
            "pointer.example.com." => {
                let at = bytes.windows(2).rposition(|pair| pair == [0xc0, 12]).unwrap();
                bytes[at + 1] = 0xff;
            }
            "empty.example.com." => {
                bytes.truncate(12);
                bytes[4..12].fill(0);
            }
            _ => {}
        }
        vec![bytes]
    })
    .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    for name in ["cut.example.com.", "counts.example.com.", "pointer.example.com.", "empty.example.com."] {
        assert_eq!(codes(&dns.udp(&query_with_edns(name, 1232)).await), (ResponseCode::ServFail, Some(23)), "{name}");
    }
    assert_eq!(addresses(&dns.udp(&query(NAME)).await), ["192.0.2.1"]);
    assert_eq!(dns.metric(r#"rollcall_dns_forward_failures_total{reason="malformed"}"#).await, 4.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_is_passed_over_and_its_refusal_is_the_last_word_if_all_do() {
    let code =
        |code| Upstream::start(move |asked| vec![answer(asked, |message| message.metadata.response_code = code)]);
    let (refusing, failing) = (code(ResponseCode::Refused).await, code(ResponseCode::ServFail).await);
    let good = Upstream::with_address([192, 0, 2, 1]).await;
    let [refusing, failing, good] = [refusing, failing, good].map(|upstream| (upstream.addr.to_string(), upstream));
    let dns = Dns::start(&[&refusing.0, &failing.0, &good.0]).await;
    assert_eq!(addresses(&dns.udp(&query(NAME)).await), ["192.0.2.1"]);
    let dns = Dns::start(&[&refusing.0, &failing.0]).await;
    assert_eq!(codes(&dns.udp(&query(NAME)).await).0, ResponseCode::Refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_for_silent_servers_stays_within_the_bound_and_local_answers_go_on() {
    let silent = Upstream::start(|_| Vec::new()).await;
    let catalog = Catalog::start().await;
    let dns = Dns::start_unready(&catalog.url, &[&silent.addr.to_string()]).await;
    catalog.publish("api.example.com");
    for gate in ["forward", "catalog"] {
        dns.wait_for_gate(gate, |closed| closed.is_none()).await;
    }
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let most = rollcall_dns::forward::IN_FLIGHT_MAX as f64;
    let too_many = r#"rollcall_dns_forward_failures_total{reason="too_many_of_domain"}"#;
    let flood = async || {
        for n in 0..100 {
            socket.send_to(&query(&format!("n{n}.example.com.")).to_vec().unwrap(), dns.addr).await.unwrap();
        }
        let in_flight = dns.metric("rollcall_dns_forward_in_flight").await;
        assert!(in_flight <= most, "{in_flight}: {}", dns.metrics().await);
    };
    let begin = Instant::now();
    while dns.metric(too_many).await < 500.0 {
        flood().await;
        assert!(begin.elapsed() < SECONDS, "{}", dns.metrics().await);
    }
    // The flood goes on, and may push a datagram out; each question has a second to be answered.
    let begin = Instant::now();
    let local = loop {
        flood().await;
        match dns.udp_within(&query("db.shop.svc.cluster.local."), Duration::from_secs(1)).await {
            Some(answer) => break answer,
            None => assert!(begin.elapsed() < SECONDS, "local answers wait: {}", dns.metrics().await),
        }
    };
    assert_eq!(addresses(&local), ["10.1.0.1"]);
    let begin = Instant::now();
    while dns.metric("rollcall_dns_forward_in_flight").await > 0.0 {
        assert!(begin.elapsed() < SECONDS, "{}", dns.metrics().await);
        sleep(Duration::from_millis(50)).await;
    }
}
