//! Answers that are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record};
use tokio::time::Instant;

use crate::server::{Catalog, Dns, SECONDS, addresses, codes, query, query_with_edns};
use crate::upstream::{Upstream, add_addresses, answer};

const KEEPING: [&str; 2] = ["--cache-bytes", "1000000"];

async fn keeping(upstream: &Upstream, further: &[&str]) -> Dns {
    let flags: Vec<_> = KEEPING.iter().chain(further).copied().collect();
    let dns = Dns::start_with("http://127.0.0.1:1", &[&upstream.addr.to_string()], &flags).await;
    dns.wait_for_gate("forward", |closed| closed.is_none()).await;
    dns
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_answer_has_the_clients_id_spelling_and_options() {
    let upstream = Upstream::with_address([192, 0, 2, 1]).await;
    let dns = keeping(&upstream, &[]).await;
    dns.udp(&query("www.example.com.")).await;
    let asked = query("WwW.Example.COM.");
    for kept in [dns.udp(&asked).await, dns.tcp(std::slice::from_ref(&asked)).await.remove(0)] {
        assert_eq!(kept.metadata.id, asked.metadata.id);
        assert_eq!(kept.queries[0].name().to_ascii(), "WwW.Example.COM.");
        assert_eq!(addresses(&kept), ["192.0.2.1"]);
        assert!(kept.answers[0].ttl <= 86_400 && kept.edns.is_none());
    }
    assert_eq!(upstream.asked().len(), 1);
    // What may be answered in another way is asked for.
    assert!(dns.udp(&query_with_edns("www.example.com.", 1232)).await.edns.is_some_and(|edns| edns.flags().dnssec_ok));
    let mut unchecked = query("www.example.com.");
    unchecked.metadata.checking_disabled = true;
    dns.udp(&unchecked).await;
    dns.udp(&unchecked).await;
    assert_eq!(upstream.asked().len(), 4);
    assert_eq!(dns.metric("rollcall_dns_forward_cache_hits_total").await, 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_is_kept_as_long_as_its_zone_says_and_none_without_its_soa() {
    let upstream = Upstream::start(|asked| {
        vec![answer(asked, |message| {
            message.metadata.response_code = ResponseCode::NXDomain;
            let name = |text: &str| Name::from_ascii(text).unwrap();
            if message.queries[0].name().to_ascii().starts_with("with.") {
                let soa = SOA::new(name("ns.example."), name("root.example."), 1, 2, 3, 4, 60);
                message.authorities.push(Record::from_rdata(name("example."), 3600, RData::SOA(soa)));
            }
        })]
    })
    .await;
    let dns = keeping(&upstream, &[]).await;
    for (asked, times) in [("with.example.", 1), ("without.example.", 3)] {
        let before = upstream.asked().len();
        for _ in 0..3 {
            assert_eq!(dns.udp(&query(asked)).await.metadata.response_code, ResponseCode::NXDomain);
        }
        assert_eq!(upstream.asked().len() - before, times, "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_equal_questions_at_a_time_one_is_asked() {
    // The first datagram gets no answer: the second try comes when all wait.
    let count = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::start(move |asked| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Vec::new(),
        _ => vec![answer(asked, |message| add_addresses(message, &[[192, 0, 2, 1]]))],
    })
    .await;
    let dns = keeping(&upstream, &[]).await;
    let (a, b, c) = (query("www.example.com."), query("www.example.com."), query("WWW.example.com."));
    let answers = tokio::join!(dns.udp(&a), dns.udp(&b), dns.udp(&c));
    for answer in [answers.0, answers.1, answers.2] {
        assert_eq!(addresses(&answer), ["192.0.2.1"]);
    }
    assert_eq!(upstream.asked().len(), 2, "two tries of one question");
    assert_eq!(dns.metric("rollcall_dns_forward_cache_coalesced_total").await, 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nobody_answers_what_was_known_is_given_and_says_so() {
    let silent = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&silent);
    let upstream = Upstream::start(move |asked| match seen.load(Ordering::Relaxed) {
        true => Vec::new(),
        false => vec![answer(asked, |message| {
            add_addresses(message, &[[192, 0, 2, 1]]);
            message.answers[0].ttl = 1;
        })],
    })
    .await;
    let dns = keeping(&upstream, &[]).await;
    let asked = query_with_edns("www.example.com.", 1232);
    assert_eq!(codes(&dns.udp(&asked).await), (ResponseCode::NoError, None));
    silent.store(true, Ordering::Relaxed);
    let begin = Instant::now();
    let stale = loop {
        let answer = dns.udp(&asked).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        if codes(&answer).1 == Some(3) {
            break answer;
        }
        assert!(begin.elapsed() < SECONDS, "{answer}");
    };
    assert_eq!((addresses(&stale), stale.answers[0].ttl), (vec!["192.0.2.1".to_owned()], 30));
    assert!(dns.metric("rollcall_dns_forward_cache_stale_total").await >= 1.0);
    silent.store(false, Ordering::Relaxed);
    let begin = Instant::now();
    while codes(&dns.udp(&asked).await).1.is_some() {
        assert!(begin.elapsed() < SECONDS, "it stays stale");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_the_cluster_are_never_kept_and_the_end_of_their_chain_is() {
    let upstream = Upstream::with_address([192, 0, 2, 1]).await;
    let catalog = Catalog::start().await;
    catalog.publish("one.example.com");
    let dns = Dns::start_with(&catalog.url, &[&upstream.addr.to_string()], &KEEPING).await;
    dns.wait_for_gate("catalog", |closed| closed.is_none()).await;
    dns.wait_for_gate("forward", |closed| closed.is_none()).await;
    let away = query("away.shop.svc.cluster.local.");
    for _ in 0..3 {
        assert_eq!(addresses(&dns.udp(&away).await), ["one.example.com.", "192.0.2.1"]);
    }
    assert_eq!(upstream.asked().len(), 1);
    assert_eq!(dns.metric("rollcall_dns_forward_cache_answers ").await, 1.0, "that of one.example.com");
    dns.udp(&query("db.shop.svc.cluster.local.")).await;
    assert_eq!(dns.metric("rollcall_dns_forward_cache_answers ").await, 1.0);
    assert!(upstream.asked().iter().all(|asked| asked.message.queries[0].query_type() == RecordType::A));
}
