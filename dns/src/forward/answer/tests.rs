//! Tests: another server's answer.

use hickory_proto::op::{Edns as WireEdns, Message};
use hickory_proto::rr::rdata::{A, CNAME, TXT};
use hickory_proto::rr::{Name, RData, RecordType};
use proptest::prelude::*;

use super::*;
use crate::answer::Outside;
use crate::answer::query::{Query, Read};
use crate::forward::message::{Asked, Ids, Verdict};

const NAME: &str = "WwW.Example.com.";

fn client(payload: Option<u16>, dnssec_ok: bool) -> Box<Foreign> {
    let mut message = Message::query();
    (message.metadata.id, message.metadata.recursion_desired) = (4711, true);
    let name = Name::from_ascii(NAME).unwrap();
    message.add_query(hickory_proto::op::Query::query(name.clone(), RecordType::A));
    if let Some(payload) = payload {
        let mut edns = WireEdns::new();
        edns.set_max_payload(payload).set_dnssec_ok(dnssec_ok);
        message.set_edns(edns);
    }
    let Read::Query(query) =
        Query::read(&message.to_vec().unwrap(), &Transport::Udp.into(), &Outside::Forwarded.into())
    else {
        panic!("a query")
    };
    Box::new(Foreign { query, name, chain: Vec::new() })
}

/// What a server makes of the question, in small letters.
fn served(foreign: &Foreign, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let asked = Asked::new(&Ids::default(), &foreign.query, &foreign.name);
    let mut message = Message::from_vec(&asked.wire().to_ascii_lowercase()).unwrap().into_response();
    (message.metadata.recursion_available, message.metadata.authentic_data) = (true, true);
    change(&mut message);
    let mut bytes = message.to_vec().unwrap();
    bytes[..2].copy_from_slice(&asked.wire()[..2]);
    bytes
}

fn read(foreign: &Foreign, bytes: Vec<u8>) -> Option<Answer> {
    Answer::read(bytes, question_end(foreign))
}

/// `Name::len` leaves out the root.
fn question_end(foreign: &Foreign) -> usize {
    HEADER_BYTES + foreign.name.len() + 1 + 4
}

fn passed_on(foreign: &Foreign, transport: Transport, change: impl FnOnce(&mut Message)) -> (Message, Vec<u8>) {
    let answer = read(foreign, served(foreign, change)).expect("a good answer");
    let mut out = Vec::new();
    answer.pass_on(foreign, transport, Age::New, &mut out).unwrap();
    (Message::from_vec(&out).unwrap(), out)
}

fn a(n: u32) -> Record {
    Record::from_rdata(Name::from_ascii(NAME).unwrap(), 86_400 + n, RData::A(A(n.into())))
}

#[test]
fn the_client_has_its_id_its_spelling_and_the_records_as_they_came() {
    let (message, bytes) = passed_on(&client(None, false), Transport::Udp, |message| {
        message.answers.extend([a(1), a(2)]);
        message.set_edns(WireEdns::new());
    });
    assert_eq!((message.metadata.id, message.queries[0].name().to_ascii().as_str()), (4711, NAME));
    assert!(message.metadata.recursion_desired && message.metadata.recursion_available);
    assert!(!message.metadata.authentic_data, "it did not ask for AD");
    assert_eq!(message.answers, [a(1), a(2)], "TTLs untouched");
    assert!(message.edns.is_none(), "OPT answers OPT alone");
    assert_eq!(bytes[11], 0);
}

#[test]
fn a_client_with_opt_gets_ours_with_its_do_and_the_extended_errors() {
    let (message, _) = passed_on(&client(Some(4096), true), Transport::Udp, |message| {
        message.answers.push(a(1));
        let mut edns = WireEdns::new();
        let options = edns.options_mut();
        options.insert(hickory_proto::rr::rdata::opt::EdnsOption::Unknown(10, vec![1; 24]));
        options.insert(hickory_proto::rr::rdata::opt::EdnsOption::Unknown(15, vec![0, 6, b'x']));
        message.set_edns(edns);
    });
    let edns = message.edns.unwrap();
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (1232, true));
    let codes: Vec<u16> = edns.options().as_ref().iter().map(|(code, _)| u16::from(*code)).collect();
    assert_eq!(codes, [15], "cookies are between us and the other server");
    assert!(message.metadata.authentic_data, "DO asks for AD");
}

#[test]
fn what_does_not_fit_is_cut_to_whole_records_with_tc_and_opt() {
    for (payload, limit) in [(None, 512), (Some(700), 700), (Some(4096), 1232)] {
        let foreign = client(payload, false);
        let all = |message: &mut Message| message.answers.extend((0..150).map(a));
        let (message, bytes) = passed_on(&foreign, Transport::Udp, all);
        assert!(bytes.len() <= limit && bytes.len() + 17 + 11 > limit, "{} of {limit}", bytes.len());
        assert!(message.metadata.truncation && !message.answers.is_empty());
        assert_eq!(message.edns.is_some(), payload.is_some());
        let (message, _) = passed_on(&foreign, Transport::Tcp, all);
        assert_eq!((message.metadata.truncation, message.answers.len()), (false, 150));
    }
}

#[test]
fn additional_records_are_left_out_without_tc_and_tc_is_passed_on() {
    let (message, _) = passed_on(&client(None, false), Transport::Udp, |message| {
        message.answers.push(a(0));
        message.additionals.extend((0..60).map(a));
    });
    assert!(!message.metadata.truncation && message.additionals.len() < 60);
    let (message, _) = passed_on(&client(None, false), Transport::Udp, |message| message.metadata.truncation = true);
    assert!(message.metadata.truncation);
}

#[test]
fn codes_beyond_the_header_need_opt() {
    let bad_cookie = |message: &mut Message| {
        let mut edns = WireEdns::new();
        edns.set_rcode_high(1);
        message.set_edns(edns);
        message.metadata.response_code = ResponseCode::from(1, 7);
    };
    let foreign = client(Some(1232), false);
    let (message, _) = passed_on(&foreign, Transport::Udp, bad_cookie);
    assert_eq!(u16::from(message.metadata.response_code), 23);
    let foreign = client(None, false);
    let answer = read(&foreign, served(&foreign, bad_cookie)).unwrap();
    assert_eq!(answer.pass_on(&foreign, Transport::Udp, Age::New, &mut Vec::new()), Err(ExtendedError::NetworkError));
}

#[test]
fn a_chain_of_the_catalog_goes_before_what_the_other_server_says() {
    let mut foreign = client(Some(1232), false);
    let owner = foreign.query.question.name().clone();
    foreign.name = Name::from_ascii("api.example.org.").unwrap();
    foreign.chain = vec![Record::from_rdata(owner, 5, RData::CNAME(CNAME(foreign.name.clone())))];
    let address = Record::from_rdata(foreign.name.clone(), 60, RData::A(A([192, 0, 2, 1].into())));
    let (message, _) = passed_on(&foreign, Transport::Udp, |message| message.answers.push(address.clone()));
    assert_eq!(message.queries[0].name().to_ascii(), NAME);
    assert_eq!(message.answers, [foreign.chain[0].clone(), address]);
    assert!(message.metadata.authoritative && message.metadata.recursion_available && message.edns.is_some());
    let (message, _) = passed_on(&foreign, Transport::Udp, |message| {
        (message.metadata.response_code, message.metadata.truncation) = (ResponseCode::NXDomain, true);
    });
    assert_eq!((message.answers.len(), message.metadata.response_code), (1, ResponseCode::NXDomain));
    assert!(message.metadata.truncation);
}

#[test]
fn types_that_nobody_knows_pass_through() {
    let data = vec![0xde, 0xad, 0xbe, 0xef];
    let unknown = hickory_proto::rr::rdata::NULL::with(data.clone());
    let rdata = RData::Unknown { code: RecordType::Unknown(65_400), rdata: unknown };
    let record = Record::from_rdata(Name::from_ascii("other.example.com.").unwrap(), 7, rdata);
    let (message, bytes) =
        passed_on(&client(None, false), Transport::Udp, |message| message.answers.push(record.clone()));
    assert_eq!(message.answers, [record]);
    assert!(bytes.ends_with(&data));
}

#[test]
fn broken_records_are_found() {
    let foreign = client(None, false);
    let mut record = a(1);
    record.name = record.name.to_lowercase(); // as in the question, so that it is a pointer to it
    let good = served(&foreign, |message| message.answers.push(record));
    assert!(read(&foreign, good.clone()).is_some());
    let at = question_end(&foreign);
    let mut forward_pointer = good.clone();
    forward_pointer[at + 1] = at as u8 + 1;
    let mut header_pointer = good.clone();
    header_pointer[at + 1] = 3;
    let mut long_data = good.clone();
    long_data[at + 11] = 200;
    let mut odd_label = good.clone();
    odd_label[at] = 0x80;
    let mut opt_as_answer = good.clone();
    opt_as_answer[at + 3] = 41;
    let broken =
        [forward_pointer, header_pointer, long_data, odd_label, opt_as_answer, good[..good.len() - 1].to_vec()];
    for bytes in broken {
        assert!(read(&foreign, bytes.clone()).is_none(), "{bytes:02x?}");
    }
}

#[test]
fn an_answer_with_tc_that_ends_inside_a_record_gives_what_is_whole() {
    let served = |foreign: &Foreign| {
        served(foreign, |message| {
            message.metadata.truncation = true;
            message.answers.extend((0..3).map(a));
            message.set_edns(WireEdns::new());
        })
    };
    let mut chained = client(Some(1232), false);
    chained.chain = vec![a(9)];
    for foreign in [client(Some(1232), false), client(None, false), chained] {
        let whole = served(&foreign);
        let ends: Vec<_> = read(&foreign, whole.clone()).unwrap().records.iter().map(|(_, end)| *end).collect();
        for cut in question_end(&foreign)..whole.len() {
            let answer = read(&foreign, whole[..cut].to_vec()).unwrap_or_else(|| panic!("cut at {cut}"));
            let mut out = Vec::new();
            answer.pass_on(&foreign, Transport::Udp, Age::New, &mut out).unwrap();
            let (message, kept) = (Message::from_vec(&out).unwrap(), ends.iter().filter(|end| **end <= cut).count());
            assert!(message.metadata.truncation, "cut at {cut}");
            assert_eq!(message.answers.len(), kept + foreign.chain.len(), "cut at {cut}");
            assert_eq!(message.edns.is_some(), foreign.query.edns.is_some());
        }
    }
}

#[test]
fn counts_with_tc_may_be_those_of_the_whole() {
    let foreign = client(None, false);
    let mut bytes = served(&foreign, |message| {
        message.metadata.truncation = true;
        message.answers.extend([a(1), a(2)]);
    });
    bytes[6..12].copy_from_slice(&[0xff, 0xff, 0, 7, 0, 7]);
    let mut out = Vec::new();
    read(&foreign, bytes).unwrap().pass_on(&foreign, Transport::Udp, Age::New, &mut out).unwrap();
    let message = Message::from_vec(&out).unwrap();
    assert_eq!((message.answers, message.metadata.truncation), (vec![a(1), a(2)], true));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_answer_never_panics_and_is_never_too_long(
        damage in prop::collection::vec((0..600_usize, any::<u8>()), 0..8),
        cut in 0..600_usize,
        texts in prop::collection::vec("[a-z]{0,60}", 0..8),
        payload in prop::option::of(any::<u16>()),
        chained: bool,
        tcp: bool,
    ) {
        let mut foreign = client(payload, false);
        if chained {
            foreign.chain = vec![a(1)];
        }
        let text = |text: &String| Record::from_rdata(foreign.name.clone(), 1, RData::TXT(TXT::new(vec![text.clone()])));
        let mut bytes = served(&foreign, |message| {
            message.answers.extend(texts.iter().map(text));
            message.set_edns(WireEdns::new());
        });
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut / 4));
        let asked = Asked::new(&Ids::default(), &foreign.query, &foreign.name);
        let mut whole = asked.wire()[..2].to_vec();
        whole.extend(bytes.get(2..).unwrap_or_default());
        if let Verdict::Answer(answer) = asked.judge(whole) {
            let (transport, limit) = if tcp { (Transport::Tcp, 65_535) } else { (Transport::Udp, 1232) };
            let mut out = Vec::new();
            if answer.pass_on(&foreign, transport, Age::New, &mut out).is_ok() {
                prop_assert!(out.len() <= limit, "{} bytes", out.len());
                prop_assert_eq!(&out[..2], &4711_u16.to_be_bytes());
            }
        }
    }
}
