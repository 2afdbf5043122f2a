//! Tests: an answer of another server that is kept is given with the same bytes, at once or by way of the forwarder.

use std::sync::LazyLock;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use proptest::prelude::*;

use super::*;
use crate::answer::{Asker, Foreign, Manner, Outcome, Outside, answer};
use crate::forward::cache::{Bounds, Key};
use crate::forward::message::{Asked, Ids, Verdict};
use crate::zone::{Rng, Settings, Zone, ZoneWriter};

static ZONE: LazyLock<Arc<Zone>> = LazyLock::new(|| {
    let mut writer = ZoneWriter::new(Settings::default());
    writer.sync("cluster.local", 1).unwrap();
    Arc::clone(writer.zone())
});

fn query(name: &str) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message
}

/// What the other server says.
#[derive(Clone, Copy, Debug)]
enum Says {
    Addresses(u8),
    Denies,
    /// With an extended error.
    Explains,
}

fn said(asked: &Asked, says: Says) -> Verdict {
    let mut message = Message::from_vec(asked.wire()).unwrap().into_response();
    message.metadata.recursion_available = true;
    message.metadata.authentic_data = true;
    let name = message.queries[0].name().clone();
    match says {
        Says::Addresses(count) => {
            let record = |n| Record::from_rdata(name.clone(), 300, RData::A(A([192, 0, 2, n].into())));
            message.answers.extend((0..count).map(record));
        }
        Says::Denies | Says::Explains => {
            message.metadata.response_code = ResponseCode::NXDomain;
            let soa = SOA::new(name.base_name(), name.base_name(), 1, 2, 3, 4, 600);
            message.authorities.push(Record::from_rdata(name.base_name(), 300, RData::SOA(soa)));
        }
    }
    let mut edns = Edns::new();
    if matches!(says, Says::Explains) {
        edns.options_mut().insert(EdnsOption::Unknown(15, b"\0\x16nobody".to_vec()));
    }
    message.set_edns(edns);
    asked.judge(message.to_vec().unwrap())
}

fn foreign(query: &[u8], asker: &Asker, manner: &Manner) -> Box<Foreign> {
    match answer(query, asker, &ZONE, manner, &mut Rng::with_seed(1), &mut Vec::new()) {
        Outcome::Foreign(foreign) => foreign,
        other => panic!("{other:?}"),
    }
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![(1..100_u8).prop_map(Says::Addresses), Just(Says::Denies), Just(Says::Explains)]
}

fn queries() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec!["www.example.com.", "WWW.eXample.com.", "a.b.c.d.test.", "4.arpa."]);
    let edns = prop::option::of((0..2000_u16, any::<bool>(), prop::option::of(0..30_usize)));
    (name, edns, any::<[u8; 4]>()).prop_map(|(name, edns, begin)| {
        let mut message = query(name);
        if let Some((payload, dnssec_ok, cookie)) = edns {
            let mut edns = Edns::new();
            edns.set_max_payload(payload).set_dnssec_ok(dnssec_ok);
            if let Some(len) = cookie.filter(|len| matches!(len, 8 | 16..)) {
                edns.options_mut().insert(EdnsOption::Unknown(10, vec![9; len]));
            }
            message.set_edns(edns);
        }
        let mut bytes = message.to_vec().unwrap();
        bytes[..2].copy_from_slice(&begin[..2]);
        // RD is set, CD is not: others are not kept. AD, and a bit that means nothing.
        bytes[3] = begin[3] & 0x60;
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_is_given_alike_either_way(query in queries(), says in says(), tcp in any::<bool>()) {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let asker = Asker { now_s: 1_800_000_000, ..transport.into() };
        let plain = Manner { nsid: b"dns-0", secret: [7; 16], ..Outside::Forwarded.into() };
        let foreign = foreign(&query, &asker, &plain);
        let Verdict::Answer(others) = said(&Asked::new(&Ids::default(), &foreign.query, &foreign.name), says) else {
            panic!("a good answer")
        };
        let (cache, key) = (Arc::new(Cache::new(Bounds::default())), Key::of(&foreign).unwrap());
        cache.put(key.clone(), &Arc::new(others), Instant::now());
        let Kept::Fresh(entry) = cache.get(key.as_ref(), Instant::now()) else { panic!("it is kept") };
        let mut slow = Vec::new();
        entry.answer.pass_on(&foreign, transport, Age::Kept(0), &mut slow).unwrap();

        let manner = Manner { kept: Some(Arc::new(AtHand::new(cache, Arc::default()))), ..plain };
        let mut fast = Vec::new();
        let outcome = answer(&query, &asker, &ZONE, &manner, &mut Rng::with_seed(1), &mut fast);
        prop_assert!(matches!(outcome, Outcome::Kept), "{outcome:?}");
        // The second may have changed between the two.
        if entry.age_s(Instant::now()) == 0 {
            prop_assert_eq!(fast, slow);
        }
    }
}
