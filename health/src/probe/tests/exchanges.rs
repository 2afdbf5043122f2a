//! Tests: TCP with a word, UDP, and what is known elsewhere.

use tokio::net::UdpSocket;

use super::*;
use crate::definition::{Alias, Exchange, Udp};
use crate::probe::{Answer, Surroundings};

fn exchange(send: &str, expect: Option<&str>) -> Exchange {
    Exchange { send: Some(send.as_bytes().into()), expect: expect.map(|expect| expect.as_bytes().into()) }
}

fn tcp(send: &str, expect: &str) -> Check {
    check(CheckKind::Tcp(Tcp { tls: None, exchange: exchange(send, Some(expect)) }))
}

#[tokio::test]
async fn a_word_is_sent_and_the_answer_looked_at() {
    let pong = answers("+PONG\r\n").await;
    assert_eq!(
        said(&tcp("PING\r\n", "PONG"), pong).await,
        format!("ok: check web: connection to {pong} answered \"+PONG\"")
    );
    let other = answers("-LOADING\r\n").await;
    let said = said(&tcp("PING\r\n", "PONG"), other).await;
    assert!(said.ends_with("answered \"-LOADING\", which does not contain \"PONG\""), "{said}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_told_also_when_the_connection_stays_open() {
    let target = server(|mut stream| async move {
        let _ = stream.write_all(b"220 wait").await;
        std::future::pending::<()>().await;
    })
    .await;
    let brief = Check { timeout: Duration::from_secs(1), ..tcp("HELO\r\n", "ready") };
    let said = said(&brief, target).await;
    assert!(
        said.ends_with("answered \"220 wait\", which does not contain \"ready\", and no more within 1 s"),
        "{said}"
    );
}

#[tokio::test]
async fn of_an_answer_without_an_end_a_little_is_read() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let target = server(|mut stream| async move {
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {
            count.fetch_add(4096, Relaxed);
        }
    })
    .await;
    let said = said(&tcp("a", "b"), target).await;
    assert!(said.starts_with("bad:") && said.len() < 400, "{said}");
    assert!(written.load(Relaxed) < 16 << 20, "{} bytes", written.load(Relaxed));
}

async fn udp_server(answer: Option<&'static [u8]>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut datagram = [0; 1500];
        while let Ok((_, from)) = socket.recv_from(&mut datagram).await {
            if let Some(answer) = answer {
                let _ = socket.send_to(answer, from).await;
            }
        }
    });
    address
}

fn udp(expect: Option<&str>) -> Check {
    check(CheckKind::Udp(Udp { exchange: exchange("ping", expect) }))
}

#[tokio::test]
async fn a_datagram_that_is_answered_as_expected_passes() {
    let pong = udp_server(Some(b"pong")).await;
    assert_eq!(said(&udp(Some("on")), pong).await, format!("ok: check web: datagram to {pong} answered \"pong\""));
    assert!(said(&udp(None), pong).await.starts_with("ok:"), "any answer will do");
    let other = said(&udp(Some("pong")), udp_server(Some(b"\xff\x00")).await).await;
    assert!(other.ends_with("answered \"\\xff\\u0000\", which does not contain \"pong\""), "{other}");
}

#[tokio::test]
async fn a_port_without_a_listener_refuses_a_datagram_and_a_black_hole_is_silent() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let free = socket.local_addr().expect("an address");
    drop(socket);
    let refused = said(&udp(None), free).await;
    assert!(refused.contains("nothing listens there"), "{refused}");
    let brief = Check { timeout: Duration::from_millis(200), ..udp(None) };
    assert!(said(&brief, udp_server(None).await).await.ends_with("got no answer within 0.2 s"));
}

/// A process in which a service is as the test says.
struct Knows(Outcome);

impl Surroundings for Knows {
    fn secret<'a>(&'a self, _: &'a crate::definition::SecretKey) -> Answer<'a> {
        Box::pin(std::future::ready(Err("Secret shop/probe does not exist; create it".into())))
    }

    fn alias(&self, _: &Alias) -> Outcome {
        self.0.clone()
    }
}

#[tokio::test]
async fn an_alias_is_as_what_it_names() {
    let service = rollcall_catalog::ServiceKey::new("shop", "db");
    let alias = check(CheckKind::Alias(Alias { service, endpoint: None }));
    let target = "198.51.100.1:80".parse().expect("an address");
    let ask = async |outcome| Probes::new(Network).with(Arc::new(Knows(outcome))).probe(&alias, target).await;
    let saw = |outcome: Outcome| outcome.saw().to_string();
    assert_eq!(
        saw(ask(Outcome::Failure("has 0 of 3 endpoints that can be called".into())).await),
        "check web: service db has 0 of 3 endpoints that can be called"
    );
    assert!(matches!(ask(Outcome::Warning("is busy".into())).await, Outcome::Warning(_)));
    assert!(matches!(ask(Outcome::Success("is well".into())).await, Outcome::Success(_)));
    let alone = Probes::new(Network).probe(&alias, target).await;
    assert!(matches!(alone, Outcome::LocalFault(LocalFault::Credentials, _)), "{alone:?}");
}
