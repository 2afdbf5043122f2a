//! Tests: `rollcall-dns diagnose`.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::forward::exchange::Failure;

/// Long enough for an answer on a busy machine; nobody here is silent.
const MOMENT: Duration = Duration::from_secs(30);

/// A server over UDP that knows one name, from the `from`th question on.
async fn server(from: u32) -> Server {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 1500];
        for count in 0.. {
            let (len, asker) = socket.recv_from(&mut bytes).await.unwrap();
            let mut message = Message::from_vec(&bytes[..len]).unwrap().into_response();
            let question = message.queries[0].clone();
            if count < from {
                message.metadata.response_code = ResponseCode::ServFail;
            } else if question.name().to_ascii() == "away.shop.svc.cluster.local." {
                let target = CNAME("gone.example.com.".parse().unwrap());
                message.answers.push(Record::from_rdata(question.name().clone(), 5, RData::CNAME(target)));
            } else if question.name().to_ascii() == "large.shop.svc.cluster.local." {
                message.metadata.truncation = true;
            } else if question.name().to_ascii() != "web.shop.svc.cluster.local." {
                message.metadata.response_code = ResponseCode::NXDomain;
            } else if question.query_type() == RecordType::A {
                let data = RData::A(A([10, 1, 0, 4].into()));
                message.answers.push(Record::from_rdata(question.name().clone(), 5, data));
            }
            socket.send_to(&message.to_vec().unwrap(), asker).await.unwrap();
        }
    });
    addr.into()
}

fn wanted(name: &str) -> Wanted {
    Wanted::new(name, &["away.svc.cluster.local".to_owned(), "cluster.local".to_owned()]).unwrap()
}

async fn ask(server: &Server, name: &str) -> Result<String, Problem> {
    dns::ask(server, &wanted(name), Transport::Udp, MOMENT).await
}

#[tokio::test]
async fn a_short_name_is_found_by_the_search_domains() {
    let server = server(0).await;
    assert_eq!(ask(&server, "web.shop.svc").await.unwrap(), "web.shop.svc.cluster.local. A 10.1.0.4");
    let problem = ask(&server, "nobody.shop.svc").await.unwrap_err();
    assert_eq!(problem.to_string(), "nobody.shop.svc.cluster.local. does not exist (NXDOMAIN)");
}

#[tokio::test]
async fn a_name_that_only_leads_to_another_has_no_data_and_what_was_cut_may_have() {
    let server = server(0).await;
    let problem = ask(&server, "away.shop.svc").await.unwrap_err();
    assert!(matches!(problem, Problem::NoData(_)), "{problem:?}");
    let answer = ask(&server, "large.shop.svc").await.unwrap();
    assert!(answer.contains("(cut to the datagram)"), "{answer}");
}

#[tokio::test]
async fn a_server_that_knows_no_edns_is_asked_without() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap().into();
    tokio::spawn(async move {
        let mut bytes = [0; 1500];
        loop {
            let (len, asker) = socket.recv_from(&mut bytes).await.unwrap();
            let mut message = Message::from_vec(&bytes[..len]).unwrap().into_response();
            if message.edns.take().is_some() {
                message.metadata.response_code = ResponseCode::FormErr;
                message.queries.clear();
            } else {
                let data = RData::A(A([10, 1, 0, 4].into()));
                message.answers.push(Record::from_rdata(message.queries[0].name().clone(), 5, data));
            }
            socket.send_to(&message.to_vec().unwrap(), asker).await.unwrap();
        }
    });
    let answer = ask(&server, "web.shop.svc").await.unwrap();
    assert!(answer.contains("A 10.1.0.4"), "{answer}");
}

#[test]
fn the_remedy_for_a_server_that_forwards_to_nobody_names_loops_and_not_the_catalog() {
    let of = |extended| {
        let (name, code) = ("web.shop.svc.".parse().unwrap(), ResponseCode::ServFail);
        let problem = Problem::Code { name, code, extended: Some(extended) };
        (problem.to_string(), problem.remedy())
    };
    for extended in [22, 23] {
        let (_, remedy) = of(extended);
        assert!(remedy.contains("lead back to it") && remedy.contains("--forward"), "{extended}: {remedy}");
    }
    assert!(of(23).0.contains("lead back to it"), "{}", of(23).0);
    assert!(of(14).1.contains("waits for the catalog"), "{}", of(14).1);
}

#[tokio::test]
async fn nobody_there_is_told_with_the_remedy() {
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let problem = ask(&nobody.into(), "web.shop.svc").await.unwrap_err();
    assert!(matches!(problem, Problem::Failure { failure: Failure::Unreachable, .. }), "{problem:?}");
    assert!(problem.to_string().contains(&format!("nothing listens on UDP at {nobody}")), "{problem}");
    assert!(problem.remedy().contains("NetworkPolicy lets UDP"), "{}", problem.remedy());
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_asked_again_until_it_succeeds_or_the_time_is_up() {
    let trial = |server: &Server| dns_trial(server, &wanted("web.shop.svc.cluster.local."), Transport::Udp);
    let row = until(trial(&server(3).await), Instant::now() + Duration::from_secs(30)).await;
    assert!(row.is_ok() && row.waited >= 3 * PAUSE, "{row:?}");
    let row = until(trial(&server(u32::MAX).await), Instant::now() + Duration::from_secs(2)).await;
    assert!(!row.is_ok() && row.waited < Duration::from_secs(2), "{row:?}");
}

#[tokio::test]
async fn a_readiness_page_must_say_200() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let page: Page = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        for status in ["503 Service Unavailable", "200 OK"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            assert!(request.starts_with(b"GET /readyz HTTP/1.1\r\n"), "{}", request.escape_ascii());
            let response = format!("HTTP/1.1 {status}\r\n\r\nnot ready: catalog: waiting, 3 s\n");
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    });
    let problem = ready::ask(&page, MOMENT).await.unwrap_err();
    assert_eq!(problem.to_string(), "503: not ready: catalog: waiting, 3 s");
    assert_eq!(ready::ask(&page, MOMENT).await, Ok("200 ready".to_owned()));
}

#[test]
fn what_cannot_be_asked_is_said_before_anything_is() {
    let options = |server: Option<&str>, name: &str| Options {
        server: server.map(|text| text.parse().unwrap()),
        transport: vec![Transport::Udp, Transport::Tcp],
        names: vec![name.to_owned()],
        ready: vec!["http://127.0.0.1:1".parse().unwrap()],
        timeout: Duration::ZERO,
    };
    let file = ResolvConf::default();
    assert_eq!(trials(&options(None, "a"), &file).err(), Some(Problem::NoServer));
    assert!(matches!(trials(&options(Some("10.0.0.1"), "a..b"), &file).err(), Some(Problem::BadName(_))));
    let all = trials(&options(Some("10.0.0.1"), "web.shop.svc"), &file).unwrap();
    let all: Vec<_> = all.iter().map(|trial| (trial.asked.as_str(), trial.over)).collect();
    let expected = [
        ("web.shop.svc at 10.0.0.1:53", "udp"),
        ("web.shop.svc at 10.0.0.1:53", "tcp"),
        ("http://127.0.0.1:1/readyz", "http"),
    ];
    assert_eq!(all, expected);
}
