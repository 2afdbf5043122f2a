//! What another server answers reaches the client.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::PTR;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::server::{Catalog, Dns, SECONDS, addresses, codes, query, query_with_edns};
use crate::upstream::{Upstream, add_addresses, answer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_comes_with_the_clients_id_and_spelling_over_both_transports() {
    let upstream = Upstream::with_address([192, 0, 2, 1]).await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    let asked = query("WwW.Example.COM.");
    let over_tcp = dns.tcp(&[asked.clone(), asked.clone()]).await;
    for answer in over_tcp.into_iter().chain([dns.udp(&asked).await]) {
        assert_eq!(answer.metadata.id, asked.metadata.id);
        assert_eq!(answer.queries[0].name().to_ascii(), "WwW.Example.COM.");
        assert_eq!((addresses(&answer), answer.answers[0].ttl), (vec!["192.0.2.1".to_owned()], 86_400));
        assert!(answer.metadata.recursion_desired && answer.metadata.recursion_available && answer.edns.is_none());
    }
    assert_eq!(dns.metric(r#"rollcall_dns_forwarded_queries_total{transport="tcp",rcode="NOERROR"}"#).await, 2.0);
    assert_eq!(dns.metric("rollcall_dns_forward_seconds_count").await, 3.0);
    assert_eq!(dns.metric("rollcall_dns_forward_in_flight").await, 0.0);
    rollcall_admin::conventions::assert_metric_conventions(&dns.metrics().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_question_has_an_id_and_a_port_of_its_own() {
    let upstream = Upstream::with_address([192, 0, 2, 1]).await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    for _ in 0..20 {
        dns.udp(&query("www.example.com.")).await;
    }
    let asked = upstream.asked();
    let ids: BTreeSet<_> = asked.iter().map(|asked| asked.message.metadata.id).collect();
    let ports: BTreeSet<_> = asked.iter().map(|asked| asked.from.port()).collect();
    assert_eq!(asked.len(), 20);
    assert!(ids.len() >= 19 && ports.len() >= 15, "{} ids from {} ports", ids.len(), ports.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edns_is_ours_towards_the_server_and_the_clients_towards_the_client() {
    let upstream = Upstream::with_address([192, 0, 2, 1]).await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    let mut asked = query_with_edns("www.example.com.", 4096);
    asked.metadata.checking_disabled = true;
    let answer = dns.udp(&asked).await;
    assert!(answer.edns.unwrap().flags().dnssec_ok && answer.metadata.checking_disabled);
    assert!(dns.udp(&query("www.example.com.")).await.edns.is_none());
    let sent: Vec<_> = upstream.asked().into_iter().map(|asked| asked.message).collect();
    assert!(sent[0].metadata.checking_disabled && !sent[1].metadata.checking_disabled);
    let edns: Vec<_> = sent.iter().map(|message| message.edns.clone().unwrap()).collect();
    assert_eq!([0, 1].map(|n| (edns[n].max_payload(), edns[n].flags().dnssec_ok)), [(1232, true), (1232, false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_is_cut_for_udp_and_whole_over_tcp() {
    let upstream = Upstream::start(|asked| {
        let all: Vec<_> = (0..120).map(|n| [192, 0, 2, n]).collect();
        vec![answer(asked, |message| match asked.tcp {
            true => add_addresses(message, &all),
            false => {
                add_addresses(message, &all[..40]);
                message.metadata.truncation = true;
            }
        })]
    })
    .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    let asked = query("www.example.com.");
    let cut = dns.udp(&asked).await;
    assert!(cut.metadata.truncation && cut.answers.len() < 40 && !cut.answers.is_empty(), "{}", cut.answers.len());
    assert!(upstream.asked().iter().all(|asked| !asked.tcp), "a UDP client is told at once");
    let whole = dns.tcp(&[asked]).await.remove(0);
    assert_eq!((whole.metadata.truncation, whole.answers.len()), (false, 120));
    assert!(upstream.asked().last().unwrap().tcp);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_knows_no_edns_is_asked_without() {
    let upstream = Upstream::start(|asked| {
        vec![answer(asked, |message| match message.edns.take() {
            Some(_) => message.metadata.response_code = ResponseCode::FormErr,
            None => add_addresses(message, &[[192, 0, 2, 1]]),
        })]
    })
    .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    let answer = dns.udp(&query_with_edns("www.example.com.", 1232)).await;
    assert_eq!(addresses(&answer), ["192.0.2.1"]);
    assert!(answer.edns.is_some());
}

/// Answers questions with OPT as servers do that know none, by a bare header; others with an address.
async fn without_edns(code: ResponseCode) -> Upstream {
    Upstream::start(move |asked| {
        vec![answer(asked, |message| match message.edns.take() {
            Some(_) => {
                message.metadata.response_code = code;
                message.queries.clear();
            }
            None => add_addresses(message, &[[192, 0, 2, 1]]),
        })]
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_edns_with_a_bare_header_is_asked_without() {
    for code in [ResponseCode::FormErr, ResponseCode::NotImp] {
        let upstream = without_edns(code).await;
        let dns = Dns::start(&[&upstream.addr.to_string()]).await;
        let answer = dns.udp(&query_with_edns("www.example.com.", 1232)).await;
        assert_eq!(addresses(&answer), ["192.0.2.1"], "{code}");
        assert!(answer.edns.is_some());
    }
}

/// Answers with TC over UDP, then as `by_tcp` says.
async fn cut_over_udp(size: usize, by_tcp: bool) -> Upstream {
    Upstream::start(move |asked| {
        let all: Vec<_> = (0..=255).map(|n| [192, 0, 2, n]).collect();
        let mut bytes = answer(asked, |message| {
            message.edns = None;
            message.metadata.truncation = !asked.tcp;
            add_addresses(message, &all);
        });
        if !asked.tcp {
            bytes.truncate(size);
        }
        if asked.tcp && !by_tcp { Vec::new() } else { vec![bytes] }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_ends_inside_a_record_is_passed_on_cut_and_fetched_by_tcp() {
    let upstream = cut_over_udp(500, true).await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    let asked = query("www.example.com.");
    let cut = dns.udp(&asked).await;
    assert_eq!((codes(&cut).0, cut.metadata.truncation), (ResponseCode::NoError, true));
    assert!((1..256).contains(&cut.answers.len()), "{}", cut.answers.len());
    assert_eq!(dns.tcp(&[asked]).await[0].answers.len(), 256);
    assert_eq!(dns.metric(r#"rollcall_dns_forward_failures_total{reason="malformed"}"#).await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_longer_than_any_datagram_that_is_read_counts_as_cut() {
    let upstream = Upstream::start(|asked| {
        let all: Vec<_> = (0..400_u16).map(|n| [10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]]).collect();
        vec![answer(asked, |message| add_addresses(message, &all))]
    })
    .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    let asked = query("www.example.com.");
    let cut = dns.udp(&asked).await;
    assert_eq!((codes(&cut).0, cut.metadata.truncation), (ResponseCode::NoError, true));
    assert_eq!(dns.tcp(&[asked]).await[0].answers.len(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_answer_is_passed_on_over_tcp_where_the_server_cannot_be_asked_by_tcp() {
    let upstream = cut_over_udp(500, false).await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    for _ in 0..2 {
        let answer = dns.tcp(&[query("www.example.com.")]).await.remove(0);
        assert_eq!((codes(&answer).0, answer.metadata.truncation), (ResponseCode::NoError, true));
        assert!(!answer.answers.is_empty());
    }
    assert!(dns.metric(r#"rollcall_dns_forward_failures_total{reason="unreachable"}"#).await >= 1.0);
    assert_eq!(dns.metric(r#"rollcall_dns_forward_upstreams{state="usable"}"#).await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_the_cluster_stay_here_and_others_leave_before_the_catalog_comes() {
    let upstream = Upstream::with_address([192, 0, 2, 1]).await;
    let catalog = Catalog::start().await;
    let dns = Dns::start_unready(&catalog.url, &[&upstream.addr.to_string()]).await;
    dns.wait_for_gate("forward", |closed| closed.is_none()).await;
    let code = async |name| dns.udp(&query(name)).await.metadata.response_code;
    assert_eq!(code("db.shop.svc.cluster.local.").await, ResponseCode::ServFail);
    assert_eq!(code("1.0.1.10.in-addr.arpa.").await, ResponseCode::ServFail);
    assert_eq!(code("www.example.com.").await, ResponseCode::NoError);

    catalog.publish("api.example.com");
    dns.wait_for_gate("catalog", |closed| closed.is_none()).await;
    assert_eq!(addresses(&dns.udp(&query("db.shop.svc.cluster.local.")).await), ["10.1.0.1"]);
    assert_eq!(code("nobody.shop.svc.cluster.local.").await, ResponseCode::NXDomain);
    assert_eq!(code("com.").await, ResponseCode::NXDomain);
    let names: Vec<_> = upstream.asked().iter().map(|asked| asked.message.queries[0].name().to_ascii()).collect();
    assert_eq!(names, ["www.example.com."]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reverse_name_of_the_catalog_stays_here_and_another_leaves() {
    let upstream = Upstream::start(|asked| {
        let pointer = RData::PTR(PTR(Name::from_ascii("host.example.com.").unwrap()));
        vec![answer(asked, |message| {
            let name = message.queries[0].name().clone();
            message.answers.push(Record::from_rdata(name, 60, pointer));
        })]
    })
    .await;
    let catalog = Catalog::start().await;
    let dns = Dns::start_unready(&catalog.url, &[&upstream.addr.to_string()]).await;
    catalog.publish("api.example.com");
    for gate in ["forward", "catalog"] {
        dns.wait_for_gate(gate, |closed| closed.is_none()).await;
    }
    let ptr = async |name: &str| {
        let mut asked = query(name);
        asked.queries[0].set_query_type(RecordType::PTR);
        addresses(&dns.udp(&asked).await)
    };
    assert_eq!(ptr("1.0.1.10.in-addr.arpa.").await, ["10-1-0-1.db.shop.svc.cluster.local."]);
    assert_eq!(ptr("9.9.9.9.in-addr.arpa.").await, ["host.example.com."]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_name_is_followed_so_that_resolvers_of_libc_have_its_address() {
    let upstream = Upstream::with_address([192, 0, 2, 7]).await;
    let catalog = Catalog::start().await;
    let dns = Dns::start_unready(&catalog.url, &[&upstream.addr.to_string()]).await;
    catalog.publish("api.example.com");
    for gate in ["forward", "catalog"] {
        dns.wait_for_gate(gate, |closed| closed.is_none()).await;
    }
    let answer = dns.udp(&query("away.shop.svc.cluster.local.")).await;
    assert_eq!(addresses(&answer), ["api.example.com.", "192.0.2.7"]);
    assert_eq!(answer.answers[1].name.to_ascii(), "api.example.com.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_for_the_question_are_ignored_whoever_sends_them() {
    let upstream = Upstream::start(|asked| {
        let forged = answer(asked, |message| add_addresses(message, &[[203, 0, 113, 66]]));
        let mut wrong_id = forged.clone();
        wrong_id[0] ^= 1;
        let mut wrong_question = forged.clone();
        wrong_question[13] ^= 1;
        // From another source: the right id and question, which an attacker would have to guess.
        let from_elsewhere = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        from_elsewhere.send_to(&forged, asked.from).unwrap();
        let right = answer(asked, |message| add_addresses(message, &[[192, 0, 2, 1]]));
        vec![wrong_id, wrong_question, b"x".to_vec(), right]
    })
    .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    assert_eq!(addresses(&dns.udp(&query("www.example.com.")).await), ["192.0.2.1"]);
    assert_eq!(dns.metric(r#"rollcall_dns_forward_failures_total{reason="stranger"}"#).await, 3.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp_the_answers_before_a_slow_one_do_not_wait_for_it() {
    let released = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&released);
    let upstream = Upstream::start(
        move |asked| {
            if gate.load(Ordering::Relaxed) { vec![answer(asked, |_| {})] } else { Vec::new() }
        },
    )
    .await;
    let catalog = Catalog::start().await;
    let dns = Dns::start_unready(&catalog.url, &[&upstream.addr.to_string()]).await;
    catalog.publish("api.example.com");
    for gate in ["forward", "catalog"] {
        dns.wait_for_gate(gate, |closed| closed.is_none()).await;
    }
    // The second is answered if the first one's answer came meanwhile; on a machine that is slow, at another attempt.
    let begin = Instant::now();
    while !answered_after_the_first(&dns, &released).await {
        assert!(begin.elapsed() < SECONDS, "the first answer waited for the one that nobody gave");
    }
}

/// Asks for a name of the catalog and one outside, for which there is an answer only once that of the first is there.
async fn answered_after_the_first(dns: &Dns, released: &AtomicBool) -> bool {
    released.store(false, Ordering::Relaxed);
    let mut stream = tokio::net::TcpStream::connect(dns.addr).await.unwrap();
    for asked in [query("db.shop.svc.cluster.local."), query("www.example.com.")] {
        let bytes = asked.to_vec().unwrap();
        stream.write_all(&[&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()).await.unwrap();
    }
    let mut codes = Vec::new();
    for _ in 0..2 {
        let mut bytes = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut bytes).await.unwrap();
        codes.push(Message::from_vec(&bytes).unwrap().metadata.response_code);
        released.store(true, Ordering::Relaxed);
    }
    codes == [ResponseCode::NoError, ResponseCode::NoError]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_forwarding_such_names_are_refused() {
    let dns = Dns::start_unready("http://127.0.0.1:1", &[]).await;
    // Before the catalog comes nobody knows whose name it is.
    assert_eq!(dns.udp(&query("www.example.com.")).await.metadata.response_code, ResponseCode::ServFail);
    let catalog = Catalog::start().await;
    let dns = Dns::start_unready(&catalog.url, &[]).await;
    catalog.publish("api.example.com");
    dns.wait_for_gate("catalog", |closed| closed.is_none()).await;
    assert_eq!(dns.udp(&query("www.example.com.")).await.metadata.response_code, ResponseCode::Refused);
    assert_eq!(addresses(&dns.udp(&query("away.shop.svc.cluster.local.")).await), ["api.example.com."]);
}
