//! Options of EDNS at the wire, and who is not answered.

use std::net::IpAddr;

use super::*;
use crate::answer::edns::cookie::Shown;
use crate::answer::{Asker, Manner, Networks, Summary, cut};
use crate::zone::Rng;

const CLIENT: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const NOW_S: u32 = 1_800_000_000;

fn manner() -> Manner {
    Manner { nsid: b"dns-0", secret: [7; 16], ..Outside::Refused.into() }
}

fn asker(from: &str) -> Asker {
    Asker { transport: Transport::Udp, from: from.parse().unwrap(), now_s: NOW_S }
}

/// A query with these options, each with its code.
fn with(name: &str, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = query(name, RecordType::A).to_vec().unwrap();
    bytes[11] = 1;
    let data: Vec<u8> = options
        .iter()
        .flat_map(|(code, data)| [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat())
        .collect();
    bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

fn answered(query: &[u8], asker: &Asker, manner: &Manner) -> (Vec<u8>, Summary) {
    let mut out = Vec::new();
    match answer(query, asker, &zone(), manner, &mut Rng::with_seed(1), &mut out) {
        Outcome::Answered(summary) => (out, summary),
        other => panic!("{other:?}"),
    }
}

/// The options at the end of an answer.
fn options(answer: &[u8], data: &[(u16, &[u8])]) -> bool {
    let expected: Vec<u8> = data
        .iter()
        .flat_map(|(code, data)| [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat())
        .collect();
    let len = (expected.len() as u16).to_be_bytes();
    answer.ends_with(&[&[0, 0, 41, 4, 208, 0, 0, 0, 0][..], &len, &expected].concat())
}

#[test]
fn a_cookie_is_answered_by_ours_and_known_again_from_the_same_address() {
    let from = asker("192.0.2.1");
    let secret = manner().secret;
    for name in ["web.shop.svc.cluster.local.", "nobody.shop.svc.cluster.local.", "away.shop.svc.cluster.local."] {
        let expected = *Shown::read(&CLIENT, from.from, NOW_S, &secret).unwrap().answer();
        let (first, summary) = answered(&with(name, &[(10, &CLIENT)]), &from, &manner());
        assert!(options(&first, &[(10, &expected)]), "{name}: {first:02x?}");
        assert!(!summary.known_client);
        let (second, summary) = answered(&with(name, &[(10, &expected)]), &from, &manner());
        assert!(options(&second, &[(10, &expected)]) && summary.known_client, "{name}");
        let (_, summary) = answered(&with(name, &[(10, &expected)]), &asker("192.0.2.2"), &manner());
        assert!(!summary.known_client, "{name}: somebody else's");
    }
}

#[test]
fn the_name_of_the_server_is_told_to_who_asks_and_what_else_is_asked_is_left_out() {
    let subnet = [0, 1, 24, 0, 192, 0, 2];
    let query = with("web.shop.svc.cluster.local.", &[(8, &subnet), (3, &[]), (12, &[0; 40]), (65_001, &[1])]);
    let (answer, _) = answered(&query, &asker("192.0.2.1"), &manner());
    assert!(options(&answer, &[(3, b"dns-0")]), "{answer:02x?}");
    let (answer, _) = answered(&query, &asker("192.0.2.1"), &Outside::Refused.into());
    assert!(options(&answer, &[]), "{answer:02x?}");
}

#[test]
fn over_tcp_a_client_is_told_for_how_long_its_connection_may_idle() {
    let query = with("web.shop.svc.cluster.local.", &[(11, &[])]);
    let over_tcp = Asker { transport: Transport::Tcp, ..asker("192.0.2.1") };
    let (answer, _) = answered(&query, &over_tcp, &manner());
    assert!(options(&answer, &[(11, &[0, 50])]), "{answer:02x?}");
    let (answer, _) = answered(&query, &asker("192.0.2.1"), &manner());
    assert!(options(&answer, &[]), "{answer:02x?}");
}

#[test]
fn a_query_without_a_question_may_ask_for_a_cookie_alone() {
    let mut query = with("web.shop.svc.cluster.local.", &[(10, &CLIENT)]);
    let question = 12..12 + "web.shop.svc.cluster.local.".len() + 1 + 4;
    query.drain(question);
    query[5] = 0;
    let (answer, summary) = answered(&query, &asker("192.0.2.1"), &manner());
    assert_eq!((summary.rcode, answer[5], answer.len()), (ResponseCode::NoError, 0, 12 + 11 + 28));
}

#[test]
fn who_is_not_allowed_is_refused_and_told_so() {
    let manner = Manner { clients: Networks::of(&["192.0.2.0/24".parse().unwrap()]), ..manner() };
    for (from, expected) in [("192.0.2.9", ResponseCode::NoError), ("198.51.100.1", ResponseCode::Refused)] {
        let (answer, summary) = answered(&with("web.shop.svc.cluster.local.", &[]), &asker(from), &manner);
        assert_eq!(summary.rcode, expected, "{from}");
        // Prohibited (RFC 8914 §4.19).
        assert_eq!(options(&answer, &[(15, &[0, 18])]), expected == ResponseCode::Refused);
    }
}

#[test]
fn an_answer_is_cut_to_its_question_and_opt() {
    let from: IpAddr = "192.0.2.1".parse().unwrap();
    for options in [&[][..], &[(10, &CLIENT[..])]] {
        let query = with("db.shop.svc.cluster.local.", options);
        let asker = Asker { transport: Transport::Udp, from, now_s: NOW_S };
        let (mut out, _) = answered(&query, &asker, &manner());
        cut(&mut out);
        let message = Message::from_vec(&out).unwrap();
        assert!(message.metadata.truncation && message.edns.is_some() && message.answers.is_empty(), "{message}");
        assert_eq!(message.queries.len(), 1);
    }
    let mut plain = Vec::new();
    let query = query("db.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    answer(&query, &asker("192.0.2.1"), &zone(), &manner(), &mut Rng::with_seed(1), &mut plain);
    cut(&mut plain);
    assert_eq!((plain.len(), plain[2] & 0x02), (query.len(), 0x02));
    let mut short = vec![1, 2, 3];
    cut(&mut short);
    assert_eq!(short, [1, 2, 3]);
}
