//! Tests: a question as it is sent to another server, and what counts as its answer (RFC 5452).

use std::collections::HashSet;

use hickory_proto::op::{Edns, Message, OpCode};

use super::*;
use crate::answer::query::Read;
use crate::answer::{Outside, Transport};

/// A client's question, read.
fn query(change: impl FnOnce(&mut Message)) -> Query {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii("WwW.Example.com.").unwrap();
    message.add_query(hickory_proto::op::Query::query(name, RecordType::AAAA));
    change(&mut message);
    match Query::read(&message.to_vec().unwrap(), &Transport::Udp.into(), &Outside::Forwarded.into()) {
        Read::Query(query) => query,
        other => panic!("{other:?}"),
    }
}

fn asked(query: &Query) -> Asked {
    Asked::new(&Ids::default(), query, query.question.name())
}

/// The answer to `asked` as another server would give it.
fn answer(asked: &Asked) -> Vec<u8> {
    let mut message = Message::from_vec(asked.wire()).unwrap().into_response();
    message.edns = None;
    message.to_vec().unwrap()
}

#[test]
fn the_question_goes_out_with_its_bits_its_case_and_our_own_opt() {
    let query = query(|message| {
        message.metadata.checking_disabled = true;
        message.metadata.authentic_data = true;
        let mut edns = Edns::new();
        edns.set_max_payload(4096).set_dnssec_ok(true);
        edns.options_mut().insert(hickory_proto::rr::rdata::opt::EdnsOption::Unknown(10, vec![1; 8]));
        message.set_edns(edns);
    });
    let sent = Message::from_vec(asked(&query).wire()).unwrap();
    assert!(sent.metadata.recursion_desired && sent.metadata.checking_disabled && sent.metadata.authentic_data);
    assert_eq!(sent.metadata.op_code, OpCode::Query);
    assert_eq!(sent.queries[0].name().to_ascii(), "WwW.Example.com.");
    assert_eq!(sent.queries[0].query_type(), RecordType::AAAA);
    let edns = sent.edns.unwrap();
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok, edns.options().as_ref().len()), (1232, true, 0));
}

#[test]
fn a_client_without_opt_is_asked_for_with_opt_and_without_do() {
    let query = query(|_| {});
    let sent = Message::from_vec(asked(&query).wire()).unwrap();
    assert!(!sent.edns.unwrap().flags().dnssec_ok);
    let plain = Asked::without_edns(&Ids::default(), &query, query.question.name());
    assert!(Message::from_vec(plain.wire()).unwrap().edns.is_none());
}

#[test]
fn ids_do_not_repeat_in_order() {
    let ids = Ids::default();
    let seen: Vec<_> = (0..1000).map(|_| ids.id()).collect();
    let distinct: HashSet<_> = seen.iter().collect();
    assert!(distinct.len() > 950, "{} of 1000", distinct.len());
    let steps: HashSet<_> = seen.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(steps.len() > 950, "{} steps", steps.len());
    assert_ne!(Ids::default().token(), Ids::default().token(), "each process has a key of its own");
}

#[test]
fn the_answer_is_known_by_id_and_question_whatever_its_case() {
    let asked = asked(&query(|_| {}));
    assert!(matches!(asked.judge(answer(&asked)), Verdict::Answer(_)));
    let upper = answer(&asked).to_ascii_uppercase();
    let mut recased = answer(&asked);
    recased[HEADER_BYTES..].copy_from_slice(&upper[HEADER_BYTES..]);
    assert!(matches!(asked.judge(recased), Verdict::Answer(_)));
}

#[test]
fn guesses_are_strangers() {
    let asked = asked(&query(|_| {}));
    let changed = |at: usize, mask: u8| {
        let mut bytes = answer(&asked);
        bytes[at] ^= mask;
        asked.judge(bytes)
    };
    let end = asked.question_end;
    let cases = [
        ("id", 0, 1),
        ("id", 1, 1),
        ("a query", 2, 0x80),
        ("opcode", 2, 0x08),
        ("name", 13, 1),
        ("type", end - 3, 1),
        ("class", end - 1, 2),
        ("count", 5, 2),
    ];
    for (what, at, mask) in cases {
        assert!(matches!(changed(at, mask), Verdict::Stranger), "{what}");
    }
    assert!(matches!(asked.judge(Vec::new()), Verdict::Stranger));
}

#[test]
fn an_error_of_a_server_that_knows_no_opt_is_known_with_or_without_the_question() {
    let query = query(|_| {});
    let bare = |asked: &Asked, rcode: u8| [&asked.wire()[..2], &[0x81, rcode, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    let with_question = |asked: &Asked, rcode: u8| {
        let mut bytes = answer(asked);
        bytes[3] |= rcode;
        bytes
    };
    let (with_opt, plain) = (asked(&query), Asked::without_edns(&Ids::default(), &query, query.question.name()));
    for code in [ResponseCode::FormErr, ResponseCode::NotImp] {
        for bytes in [bare(&with_opt, code.low()), with_question(&with_opt, code.low())] {
            assert!(matches!(with_opt.judge(bytes), Verdict::NoEdns), "{code}");
        }
        assert!(matches!(plain.judge(bare(&plain, code.low())), Verdict::Malformed), "{code}: it had no OPT");
        assert!(matches!(plain.judge(with_question(&plain, code.low())), Verdict::Answer(_)), "{code}");
    }
    for code in [ResponseCode::NoError, ResponseCode::ServFail, ResponseCode::Refused] {
        assert!(matches!(with_opt.judge(bare(&with_opt, code.low())), Verdict::Malformed), "{code}");
        assert!(matches!(with_opt.judge(with_question(&with_opt, code.low())), Verdict::Answer(_)), "{code}");
    }
    let mut guess = bare(&with_opt, ResponseCode::FormErr.low());
    guess[0] ^= 1;
    assert!(matches!(with_opt.judge(guess), Verdict::Stranger));
}

#[test]
fn what_the_server_sends_and_cannot_be_read_is_malformed() {
    let asked = asked(&query(|_| {}));
    let good = answer(&asked);
    let mut no_question = good[..HEADER_BYTES].to_vec();
    no_question[5] = 0;
    let mut records_missing = good.clone();
    records_missing[7] = 3;
    for (what, bytes) in
        [("no question", no_question), ("a scrap", good[..4].to_vec()), ("no records", records_missing)]
    {
        assert!(matches!(asked.judge(bytes), Verdict::Malformed), "{what}");
    }
}
