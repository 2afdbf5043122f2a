//! Header, EDNS, sizes and errors: RFC 1035, 2181, 6891, 8906, 8914.

use std::collections::BTreeSet;

use hickory_proto::op::{Edns, MessageType};
use hickory_proto::rr::rdata::opt::EdnsCode;
use hickory_proto::rr::{DNSClass, Record};

use super::*;

const WEB: &str = "web.shop.svc.cluster.local.";

fn with_edns(mut message: Message, payload: u16, version: u8) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload).set_version(version);
    message.set_edns(edns);
    message
}

/// A headless service `big` with this many endpoints.
fn big(endpoints: u32) -> Arc<Zone> {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    let address = |n: u32| std::net::Ipv4Addr::from(0x0a01_0000 + n).to_string();
    let all = (1..=endpoints).map(|n| endpoint(n.into(), "", &address(n), &[("pg", 5432)])).collect();
    writer.apply([service("shop/big", headless()), bucket("shop/big", 1, 0, all)], 1);
    writer.sync("cluster.local.", 1).unwrap();
    Arc::clone(writer.zone())
}

/// For setters that return what they changed.
fn set<T>(_: &mut T) {}

fn length(zone: &Zone, query: &Message, transport: Transport) -> usize {
    let mut out = Vec::new();
    answer(
        &query.to_vec().unwrap(),
        &transport.into(),
        zone,
        &Outside::Refused.into(),
        &mut Rng::with_seed(1),
        &mut out,
    );
    out.len()
}

#[test]
fn the_header_is_that_of_an_authority() {
    let response = ask(&zone(), &query(WEB, RecordType::A), Transport::Udp);
    let header = response.metadata;
    assert_eq!((header.id, header.message_type, header.op_code), (4711, MessageType::Response, OpCode::Query));
    assert!(header.authoritative && header.recursion_desired);
    assert!(!header.recursion_available && !header.authentic_data && !header.checking_disabled);
    assert!(response.edns.is_none(), "OPT answers OPT alone");
}

#[test]
fn until_the_catalog_was_seen_every_name_is_servfail_with_the_reason() {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    writer.apply([service("shop/web", cluster_ip(&["10.96.0.1"], &[]))], 1);
    let asked = with_edns(query(WEB, RecordType::A), 1232, 0);
    let response = ask(writer.zone(), &asked, Transport::Udp);
    assert_eq!(response.metadata.response_code, ResponseCode::ServFail);
    let error = response.edns.unwrap().option(EdnsCode::from(15)).cloned().unwrap();
    assert_eq!(Vec::try_from(&error).unwrap(), [0, 14]);
    writer.sync("cluster.local", 1).unwrap();
    assert_eq!(ask(writer.zone(), &asked, Transport::Udp).answers.len(), 1);
}

#[test]
fn an_answer_that_does_not_fit_is_cut_to_whole_records_with_tc_and_opt() {
    let (zone, name) = (big(100), "big.shop.svc.cluster.local.");
    for (payload, limit) in [(None, 512), (Some(0), 512), (Some(700), 700), (Some(1232), 1232), (Some(65535), 1232)] {
        for rtype in [RecordType::A, RecordType::SRV] {
            let name = if rtype == RecordType::SRV { &format!("_pg._tcp.{name}") } else { name };
            let plain = query(name, rtype);
            let asked = match payload {
                Some(payload) => with_edns(plain, payload, 0),
                None => plain,
            };
            let response = ask(&zone, &asked, Transport::Udp);
            let len = length(&zone, &asked, Transport::Udp);
            assert!(len <= limit, "{rtype} {payload:?}: {len} bytes");
            assert!(len > limit - 80, "{rtype} {payload:?}: only {len} bytes used");
            assert!(response.metadata.truncation, "{rtype} {payload:?}");
            assert!(!response.answers.is_empty());
            assert_eq!(response.edns.map(|edns| edns.max_payload()), payload.map(|_| 1232), "{rtype} {payload:?}");
        }
    }
}

#[test]
fn additional_records_are_left_out_without_tc() {
    let asked = query("_pg._tcp.big.shop.svc.cluster.local.", RecordType::SRV);
    let response = ask(&big(7), &asked, Transport::Udp);
    assert!(!response.metadata.truncation);
    assert_eq!(response.answers.len(), 7);
    assert!(response.additionals.len() < 7, "512 bytes hold no more");
}

#[test]
fn tcp_gives_everything() {
    let zone = big(1000);
    let response = ask(&zone, &query("big.shop.svc.cluster.local.", RecordType::A), Transport::Tcp);
    assert!(!response.metadata.truncation);
    assert_eq!(response.answers.iter().map(|record| record.data.to_string()).collect::<BTreeSet<_>>().len(), 1000);
    let response = ask(&big(6000), &query("big.shop.svc.cluster.local.", RecordType::A), Transport::Tcp);
    assert!(response.metadata.truncation, "more than 65,535 bytes");
}

#[test]
fn every_endpoint_comes_first_and_into_the_cut_now_and_then() {
    let zone = big(200);
    let asked = query("big.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    let (mut rng, mut out) = (Rng::with_seed(3), Vec::new());
    let (mut first, mut any) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..400 {
        answer(&asked, &Transport::Udp.into(), &zone, &Outside::Refused.into(), &mut rng, &mut out);
        let answers = Message::from_vec(&out).unwrap().answers;
        let text = |record: &Record| record.data.to_string();
        first.extend(answers.first().map(text));
        any.extend(answers.iter().map(text));
    }
    assert!(first.len() > 150 && any.len() == 200, "{} first, {} at all", first.len(), any.len());
}

#[test]
fn an_unknown_edns_version_is_badvers_with_the_version_that_is_known() {
    let response = ask(&zone(), &with_edns(query(WEB, RecordType::A), 1232, 1), Transport::Udp);
    // hickory reads code 16 as BADSIG, which shares it (RFC 6895 §2.3).
    assert_eq!(u16::from(response.metadata.response_code), 16);
    assert_eq!(response.edns.unwrap().version(), 0);
    assert!(response.answers.is_empty());
}

#[test]
fn do_is_copied_and_unknown_options_are_ignored() {
    let mut asked = with_edns(query(WEB, RecordType::A), 1232, 0);
    let edns = asked.edns.as_mut().unwrap();
    edns.set_dnssec_ok(true);
    edns.options_mut().insert(hickory_proto::rr::rdata::opt::EdnsOption::Unknown(100, vec![1, 2, 3]));
    let edns = ask(&zone(), &asked, Transport::Udp).edns.unwrap();
    assert!(edns.flags().dnssec_ok && edns.option(EdnsCode::from(100)).is_none());
}

#[test]
fn what_is_not_a_query_gets_the_error_that_its_rfc_names() {
    let code = |change: fn(&mut Message)| {
        let mut message = with_edns(query(WEB, RecordType::A), 1232, 0);
        change(&mut message);
        let response = ask(&zone(), &message, Transport::Udp);
        assert_eq!(response.metadata.op_code, message.metadata.op_code);
        assert!(response.answers.is_empty());
        (response.metadata.response_code, response.edns.is_some())
    };
    assert_eq!(code(|m| m.metadata.op_code = OpCode::Status), (ResponseCode::NotImp, true));
    assert_eq!(code(|m| m.metadata.op_code = OpCode::Notify), (ResponseCode::NotImp, true));
    assert_eq!(code(|m| m.metadata.op_code = OpCode::Unknown(15)), (ResponseCode::NotImp, true));
    assert_eq!(code(|m| m.queries.clear()), (ResponseCode::FormErr, true));
    assert_eq!(code(|m| m.queries.push(m.queries[0].clone())), (ResponseCode::FormErr, false));
    assert_eq!(code(|m| set(m.queries[0].set_query_class(DNSClass::CH))), (ResponseCode::Refused, true));
    assert_eq!(code(|m| set(m.queries[0].set_query_class(DNSClass::ANY))), (ResponseCode::Refused, true));
    assert_eq!(code(|m| set(m.queries[0].set_query_type(RecordType::AXFR))), (ResponseCode::Refused, true));
    assert_eq!(code(|m| set(m.queries[0].set_query_type(RecordType::IXFR))), (ResponseCode::Refused, true));
    assert_eq!(code(|m| set(m.queries[0].set_query_type(RecordType::Unknown(666)))), (ResponseCode::NoError, true));
}

#[test]
fn responses_and_scraps_are_not_answered_and_broken_queries_are_formerr() {
    let zone = zone();
    let good = query(WEB, RecordType::A).to_vec().unwrap();
    let mut response = good.clone();
    response[2] |= 0x80;
    assert!(ask_bytes(&zone, &response, Transport::Udp).is_none());
    assert!(ask_bytes(&zone, &good[..11], Transport::Udp).is_none());
    for cut in [12, 13, good.len() - 1] {
        let answer = ask_bytes(&zone, &good[..cut], Transport::Udp).unwrap();
        assert_eq!((answer.metadata.id, answer.metadata.response_code), (4711, ResponseCode::FormErr), "cut at {cut}");
    }
}
