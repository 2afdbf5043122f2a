//! Tests: answers that are kept.

use hickory_proto::op::{Message, Query as Question, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::*;
use crate::answer::query::{Query, Read};

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn address(owner: &str, ttl: u32) -> Record {
    Record::from_rdata(name(owner), ttl, RData::A(A([192, 0, 2, 1].into())))
}

fn cname(owner: &str, ttl: u32) -> Record {
    Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name("b.example."))))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    let data = SOA::new(name("ns.example."), name("hostmaster.example."), 1, 2, 3, 4, minimum);
    Record::from_rdata(name("example."), ttl, RData::SOA(data))
}

fn answer(code: ResponseCode, answers: &[Record], authorities: &[Record]) -> Arc<Answer> {
    let mut message = Message::response(7, hickory_proto::op::OpCode::Query);
    message.add_query(Question::query(name("a.example."), RecordType::A));
    message.metadata.response_code = code;
    message.answers.extend_from_slice(answers);
    message.authorities.extend_from_slice(authorities);
    Arc::new(Answer::read(message.to_vec().unwrap(), 12 + 11 + 4).unwrap())
}

fn foreign(text: &str, change: impl FnOnce(&mut Message)) -> Foreign {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Question::query(name(text), RecordType::A));
    change(&mut message);
    let Read::Query(query) = Query::read(
        &message.to_vec().unwrap(),
        &crate::answer::Transport::Udp.into(),
        &crate::answer::Outside::Forwarded.into(),
    ) else {
        panic!("a query")
    };
    Foreign { query, name: name(text), chain: Vec::new() }
}

fn key(text: &str) -> Key {
    Key::of(&foreign(text, |_| {})).expect("it is kept")
}

#[test]
fn how_long_an_answer_is_kept_comes_from_its_records() {
    use Lifetime::{Negative, Positive};
    use ResponseCode::{NXDomain, NoError, Refused, ServFail};
    for (code, answers, authorities, expected) in [
        (NoError, vec![address("a.example.", 300), address("a.example.", 20)], vec![], Some(Positive(20))),
        (NoError, vec![cname("a.example.", 5), address("b.example.", 300)], vec![], Some(Positive(5))),
        (NoError, vec![address("a.example.", u32::MAX)], vec![], Some(Positive(0))),
        (NoError, vec![], vec![soa(3600, 60)], Some(Negative(60))),
        (NoError, vec![], vec![soa(30, 60)], Some(Negative(30))),
        (NoError, vec![cname("a.example.", 5)], vec![soa(30, 60)], Some(Negative(5))),
        (NXDomain, vec![], vec![soa(3600, 60)], Some(Negative(60))),
        (NXDomain, vec![], vec![], None),
        (NoError, vec![], vec![], None),
        (NoError, vec![cname("a.example.", 5)], vec![], None),
        (ServFail, vec![], vec![soa(3600, 60)], None),
        (Refused, vec![address("a.example.", 300)], vec![], None),
    ] {
        let answer = answer(code, &answers, &authorities);
        assert_eq!(answer.lifetime(), expected, "{code} {answers:?} {authorities:?}");
    }
}

#[tokio::test]
async fn an_answer_is_fresh_for_its_time_then_stale_then_gone() {
    let cache =
        Cache::new(Bounds { ttl_max: 100, negative_ttl_max: 10, stale: Duration::from_secs(50), ..Bounds::default() });
    let now = Instant::now();
    let after = |seconds: u64| now + Duration::from_secs(seconds);
    cache.put(key("long.example."), &answer(ResponseCode::NoError, &[address("a.example.", 9999)], &[]), now);
    cache.put(key("not.example."), &answer(ResponseCode::NXDomain, &[], &[soa(9999, 9999)]), now);
    for (name, fresh, stale) in [("LONG.example.", 100, 150), ("not.Example.", 10, 60)] {
        assert!(
            matches!(cache.get(key(name).as_ref(), after(fresh - 1)), Kept::Fresh(entry) if entry.age_s(after(fresh - 1)) == fresh as u32 - 1)
        );
        assert!(matches!(cache.get(key(name).as_ref(), after(fresh)), Kept::Stale(_)), "{name}");
        assert!(matches!(cache.get(key(name).as_ref(), after(stale)), Kept::Nothing), "{name}");
    }
    cache.put(key("zero.example."), &answer(ResponseCode::NoError, &[address("a.example.", 0)], &[]), now);
    assert!(matches!(cache.get(key("zero.example.").as_ref(), now), Kept::Nothing), "RFC 1035 §3.2.1");
}

#[test]
fn questions_with_other_answers_have_other_keys_or_none() {
    let plain = key("a.example.");
    assert_eq!(plain, key("A.EXAMPLE."));
    assert_ne!(plain, key("b.example."));
    let dnssec = Key::of(&foreign("a.example.", |message| {
        let mut edns = hickory_proto::op::Edns::new();
        edns.set_dnssec_ok(true);
        message.set_edns(edns);
    }));
    let authentic = Key::of(&foreign("a.example.", |message| message.metadata.authentic_data = true));
    assert!(dnssec.as_ref().is_some_and(|key| *key != plain) && authentic.is_some() && dnssec != authentic);
    assert_eq!(Key::of(&foreign("a.example.", |message| message.metadata.checking_disabled = true)), None);
    assert_eq!(Key::of(&foreign("a.example.", |message| message.metadata.recursion_desired = false)), None);
}

#[tokio::test]
async fn what_is_popular_is_renewed_once_near_its_end() {
    let (cache, now) = (Cache::new(Bounds::default()), Instant::now());
    cache.put(key("a.example."), &answer(ResponseCode::NoError, &[address("a.example.", 100)], &[]), now);
    let due = |seconds: u64| {
        let now = now + Duration::from_secs(seconds);
        let Kept::Fresh(entry) = cache.get(key("a.example.").as_ref(), now) else { panic!("it is fresh") };
        entry.is_to_be_renewed(now)
    };
    assert_eq!([1, 2, 89].map(due), [false; 3], "not near its end");
    assert_eq!([90, 91].map(due), [true, false]);
    cache.put(key("b.example."), &answer(ResponseCode::NoError, &[address("a.example.", 100)], &[]), now);
    let Kept::Fresh(entry) = cache.get(key("b.example.").as_ref(), now) else { panic!("it is fresh") };
    assert!(!entry.is_to_be_renewed(now + Duration::from_secs(99)), "nobody else asks for it");
}

#[tokio::test]
async fn no_more_is_kept_than_the_bound_and_what_is_asked_for_stays() {
    let (cache, now) = (Cache::new(Bounds { bytes: 1 << 20, ..Bounds::default() }), Instant::now());
    let one = answer(ResponseCode::NoError, &[address("a.example.", 100)], &[]);
    cache.put(key("popular.example."), &one, now);
    let mut gone = 0;
    for n in 0..20_000 {
        gone += cache.put(key(&format!("n{n}.example.")), &one, now);
        assert!(matches!(cache.get(key("popular.example.").as_ref(), now), Kept::Fresh(_)), "after {n}");
    }
    let size = cache.size();
    assert!(size.bytes <= 1 << 20 && size.answers > 1000, "{size:?}");
    assert_eq!(gone as usize + size.answers, 20_001);
    // Nothing is held for what has gone.
    let order: usize = cache.shards.iter().map(|shard| shard.read().unwrap().order.len()).sum();
    assert_eq!(order, size.answers);
}
