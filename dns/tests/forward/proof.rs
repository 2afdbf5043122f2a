//! Answers that are hard to forge: letters of both cases, and cookies, of servers that bear them and of those that do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

use crate::server::{Dns, addresses, query, query_with_edns};
use crate::upstream::{Asked, Upstream, add_addresses, answer, is_look};

const NAME: &str = "www.long-enough-to-be-mixed.example.com.";
const SERVER: [u8; 16] = *b"0123456789abcdef";

/// As [`answer`], with the letters as they came.
fn faithful(asked: &Asked, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::from_vec(&answer(asked, |_| {})).unwrap();
    message.queries = asked.message.queries.clone();
    change(&mut message);
    message.to_vec().unwrap()
}

/// A server that gives names back as they came, whatever is asked.
async fn keeping_case(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Upstream {
    Upstream::start_raw(move |asked| match is_look(&asked.message) {
        true => vec![faithful(asked, |message| message.metadata.response_code = ResponseCode::NXDomain)],
        false => script(asked),
    })
    .await
}

fn with_address(asked: &Asked, last: u8) -> Vec<u8> {
    faithful(asked, |message| add_addresses(message, &[[192, 0, 2, last]]))
}

fn cookie(message: &Message) -> Option<Vec<u8>> {
    let option = message.edns.as_ref()?.option(EdnsCode::Cookie)?;
    Some(Vec::try_from(option).unwrap())
}

/// An answer with the client's cookie, or another one, and the server's.
fn with_cookie(asked: &Asked, last: u8, client: Option<&[u8]>, code: ResponseCode) -> Vec<u8> {
    let sent = cookie(&asked.message).unwrap_or_default();
    let own = sent.get(..8).unwrap_or_default();
    faithful(asked, |message| {
        if code == ResponseCode::NoError {
            add_addresses(message, &[[192, 0, 2, last]]);
        }
        message.metadata.response_code = code;
        let mut edns = Edns::new();
        if !own.is_empty() {
            let data = [client.unwrap_or(own), &SERVER].concat();
            edns.options_mut().insert(EdnsOption::Unknown(EdnsCode::Cookie.into(), data));
        }
        message.set_edns(edns);
    })
}

fn names(upstream: &Upstream) -> Vec<String> {
    upstream.asked().iter().map(|asked| asked.message.queries[0].name().to_ascii()).collect()
}

fn is_mixed(name: &str) -> bool {
    name.contains(|c: char| c.is_ascii_uppercase()) && name.contains(|c: char| c.is_ascii_lowercase())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_mixed_at_random_and_the_client_has_its_own() {
    let upstream = keeping_case(|asked| vec![with_address(asked, 1)]).await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    for _ in 0..3 {
        let given = dns.udp(&query(NAME)).await;
        assert_eq!(
            (addresses(&given), given.queries[0].name().to_ascii()),
            (vec!["192.0.2.1".to_owned()], NAME.into())
        );
        assert_eq!(given.answers[0].name.to_ascii(), NAME);
    }
    let names = names(&upstream);
    assert!(names.iter().all(|name| is_mixed(name)), "{names:?}");
    assert!(names[0] != names[1] && names[1] != names[2], "{names:?}");
    let ports: Vec<_> = upstream.asked().iter().map(|asked| asked.from.port()).collect();
    let ids: Vec<_> = upstream.asked().iter().map(|asked| asked.message.metadata.id).collect();
    assert!(ports[0] != ports[1] && ids[0] != ids[1], "{ports:?} {ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_changes_letters_is_asked_as_the_client_spells() {
    let upstream = Upstream::with_address([192, 0, 2, 1]).await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    assert_eq!(addresses(&dns.udp(&query(NAME)).await), ["192.0.2.1"]);
    assert_eq!(names(&upstream), [NAME]);
    assert!(!upstream.asked()[0].tcp);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_with_other_letters_is_not_believed_and_asked_for_over_tcp() {
    // From somebody who guessed id and port, before the server's own.
    let upstream = keeping_case(|asked| {
        let forged = answer(asked, |message| add_addresses(message, &[[192, 0, 2, 66]]));
        if asked.tcp { vec![with_address(asked, 1)] } else { vec![forged, with_address(asked, 1)] }
    })
    .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    for _ in 0..2 {
        assert_eq!(addresses(&dns.udp(&query(NAME)).await), ["192.0.2.1"]);
    }
    assert_eq!(upstream.asked().iter().map(|asked| asked.tcp).collect::<Vec<_>>(), [false, true, false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_and_cookies_are_left_alone_where_operators_say_so() {
    let upstream = keeping_case(|asked| vec![with_address(asked, 1)]).await;
    let flags = ["--forward-mixed-case", "false", "--forward-cookies", "false"];
    let dns = Dns::start_with("http://127.0.0.1:1", &[&upstream.addr.to_string()], &flags).await;
    dns.wait_for_gate("forward", |closed| closed.is_none()).await;
    dns.udp(&query(NAME)).await;
    assert_eq!((names(&upstream), cookie(&upstream.asked()[0].message)), (vec![NAME.to_owned()], None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_is_sent_and_the_servers_part_given_back_and_none_reaches_the_client() {
    let upstream = keeping_case(|asked| vec![with_cookie(asked, 1, None, ResponseCode::NoError)]).await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    for _ in 0..2 {
        let given = dns.udp(&query_with_edns(NAME, 1232)).await;
        assert_eq!((addresses(&given), cookie(&given)), (vec!["192.0.2.1".to_owned()], None));
    }
    let sent: Vec<_> = upstream.asked().iter().map(|asked| cookie(&asked.message).unwrap()).collect();
    assert_eq!((sent[0].len(), sent[1].len()), (8, 24));
    assert_eq!((&sent[1][..8], &sent[1][8..]), (&sent[0][..], &SERVER[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_with_anothers_cookie_is_ignored_and_one_without_is_asked_for_over_tcp() {
    let upstream = keeping_case(|asked| {
        let own = with_cookie(asked, 1, None, ResponseCode::NoError);
        let forged = with_cookie(asked, 66, Some(b"guessed!"), ResponseCode::NoError);
        let knows = cookie(&asked.message).is_some_and(|cookie| cookie.len() > 8);
        match (asked.tcp, knows) {
            (true, _) => vec![own],
            (false, false) => vec![forged, own],
            (false, true) => vec![with_address(asked, 66)],
        }
    })
    .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    assert_eq!(addresses(&dns.udp(&query(NAME)).await), ["192.0.2.1"]);
    assert_eq!(dns.metric("rollcall_dns_forward_failures_total{reason=\"stranger\"}").await, 1.0);
    assert_eq!(addresses(&dns.udp(&query(NAME)).await), ["192.0.2.1"]);
    assert_eq!(upstream.asked().iter().map(|asked| asked.tcp).collect::<Vec<_>>(), [false, false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_secret_is_asked_again_with_its_new_cookie() {
    let count = Arc::new(AtomicUsize::new(0));
    let upstream = keeping_case(move |asked| {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        let code = if first { ResponseCode::BADCOOKIE } else { ResponseCode::NoError };
        vec![with_cookie(asked, 1, None, code)]
    })
    .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    assert_eq!(addresses(&dns.udp(&query(NAME)).await), ["192.0.2.1"]);
    let sent: Vec<_> = upstream.asked().iter().map(|asked| cookie(&asked.message).unwrap().len()).collect();
    assert_eq!(sent, [8, 24]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_every_cookie_is_asked_over_tcp() {
    let upstream = keeping_case(|asked| match asked.tcp {
        true => vec![with_address(asked, 1)],
        false => vec![with_cookie(asked, 1, None, ResponseCode::BADCOOKIE)],
    })
    .await;
    let dns = Dns::start(&[&upstream.addr.to_string()]).await;
    assert_eq!(addresses(&dns.udp(&query(NAME)).await), ["192.0.2.1"]);
    assert_eq!(upstream.asked().iter().map(|asked| asked.tcp).collect::<Vec<_>>(), [false, false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_do_not_bear_cookies_are_asked_without() {
    // One says so, the other says nothing.
    for says in [true, false] {
        let upstream = keeping_case(move |asked| match (cookie(&asked.message), says) {
            (None, _) => vec![with_address(asked, 1)],
            (Some(_), true) => vec![faithful(asked, |message| message.metadata.response_code = ResponseCode::FormErr)],
            (Some(_), false) => Vec::new(),
        })
        .await;
        let dns = Dns::start(&[&upstream.addr.to_string()]).await;
        for _ in 0..2 {
            assert_eq!(addresses(&dns.udp(&query(NAME)).await), ["192.0.2.1"], "{says}");
        }
        let sent: Vec<_> = upstream.asked().iter().map(|asked| cookie(&asked.message).is_some()).collect();
        assert_eq!(sent, [true, false, false], "{says}");
    }
}
