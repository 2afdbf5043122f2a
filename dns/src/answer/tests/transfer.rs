//! A zone as a whole holds what questions for its names are answered with.

use std::collections::{BTreeMap, BTreeSet};

use RecordType::{A, AAAA, AXFR, CNAME, IXFR, NS, SOA, SRV, TXT};
use hickory_proto::rr::Record;

use super::*;
use crate::answer::{Asker, Manner, Networks};

fn manner() -> Manner {
    Manner { transfer_to: Networks::of(&["10.0.0.0/8".parse().unwrap()]), ..Outside::Refused.into() }
}

fn outcome(zone: &Zone, name: &str, rtype: RecordType, transport: Transport, from: &str) -> (Outcome, Vec<u8>) {
    let asker = Asker { from: from.parse().unwrap(), ..transport.into() };
    let (query, mut out) = (query(name, rtype).to_vec().unwrap(), Vec::new());
    let outcome = answer(&query, &asker, zone, &manner(), &mut Rng::with_seed(1), &mut out);
    (outcome, out)
}

/// All records of a transfer, in their order, and the number of its messages.
fn transferred(zone: &Zone, name: &str) -> (Vec<Record>, usize) {
    let (Outcome::Transfer(mut transfer), _) = outcome(zone, name, AXFR, Transport::Tcp, "10.1.2.3") else {
        panic!("no transfer")
    };
    let (mut records, mut messages, mut out) = (Vec::new(), 0, Vec::new());
    while transfer.next(zone, &mut Rng::with_seed(1), &mut out) {
        let message = Message::from_vec(&out).unwrap();
        assert!(message.metadata.authoritative && !message.metadata.truncation && message.queries.len() == 1);
        records.extend(message.answers);
        messages += 1;
    }
    (records, messages)
}

#[test]
fn its_records_are_those_of_answers_about_its_names() {
    let zone = zone();
    let (records, _) = transferred(&zone, "CLUSTER.local.");
    let (first, last) = (records.first().unwrap(), records.last().unwrap());
    assert!(first.record_type() == SOA && first == last, "{first} {last}");
    let mut told = BTreeMap::<(String, RecordType), BTreeSet<String>>::new();
    for record in &records[1..records.len() - 1] {
        let set = told.entry((record.name.to_string(), record.record_type())).or_default();
        assert!(set.insert(record.data.to_string()), "twice: {record}");
    }
    let names: BTreeSet<_> = told.keys().map(|(name, _)| name.clone()).collect();
    for name in [
        "cluster.local.",
        "ns.dns.cluster.local.",
        "dns-version.cluster.local.",
        "web.shop.svc.cluster.local.",
        "_http._tcp.web.shop.svc.cluster.local.",
        "db-0.db.shop.svc.cluster.local.",
        "10-1-0-3.db.shop.svc.cluster.local.",
        "_pg._tcp.db.shop.svc.cluster.local.",
        "away.shop.svc.cluster.local.",
        "e-0.early.shop.svc.cluster.local.",
    ] {
        assert!(names.contains(name), "{name} is not in {names:?}");
    }
    assert!(!names.iter().any(|name| name.starts_with("empty.")), "{names:?}");
    for name in &names {
        for rtype in [A, AAAA, SRV, TXT, CNAME, NS] {
            let answer = ask(&zone, &query(name, rtype), Transport::Tcp);
            let own = answer
                .answers
                .iter()
                .filter(|record| record.name.to_string() == *name && record.record_type() == rtype);
            let own: BTreeSet<_> = own.map(|record| record.data.to_string()).collect();
            assert_eq!(told.get(&(name.clone(), rtype)).cloned().unwrap_or_default(), own, "{name} {rtype}");
        }
    }
}

#[test]
fn a_large_zone_comes_in_several_messages() {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    let many = (0..2000_u16).map(|n| endpoint(n.into(), "", &format!("10.2.{}.{}", n >> 8, n & 255), &[("http", 80)]));
    writer.apply([service("shop/db", headless()), bucket("shop/db", 1, 0, many.collect())], 8);
    writer.sync("cluster.local", 8).unwrap();
    let (records, messages) = transferred(writer.zone(), "cluster.local.");
    assert!(messages > 4, "{messages}");
    // Of the service's name A, SRV; of its port's SRV; of each endpoint's A and SRV.
    assert_eq!(records.iter().filter(|record| record.record_type() == A).count(), 4000);
    assert_eq!(records.iter().filter(|record| record.record_type() == SRV).count(), 6000);
}

#[test]
fn who_may_not_have_it_and_what_is_no_such_zone_is_refused() {
    let zone = zone();
    for (name, rtype, transport, from) in [
        ("cluster.local.", AXFR, Transport::Tcp, "192.0.2.1"),
        ("cluster.local.", IXFR, Transport::Udp, "192.0.2.1"),
        ("cluster.local.", AXFR, Transport::Udp, "10.1.2.3"),
        ("svc.cluster.local.", AXFR, Transport::Tcp, "10.1.2.3"),
        ("in-addr.arpa.", AXFR, Transport::Tcp, "10.1.2.3"),
        ("example.com.", AXFR, Transport::Tcp, "10.1.2.3"),
    ] {
        let (Outcome::Answered(summary), _) = outcome(&zone, name, rtype, transport, from) else { panic!("{name}") };
        assert_eq!(summary.rcode, ResponseCode::Refused, "{name} {rtype} {from}");
    }
    let (Outcome::Answered(_), out) = outcome(&zone, "cluster.local.", IXFR, Transport::Udp, "10.1.2.3") else {
        panic!("no answer")
    };
    let answer = Message::from_vec(&out).unwrap();
    assert_eq!((answer.answers.len(), answer.answers[0].record_type()), (1, SOA));
    assert!(matches!(outcome(&zone, "cluster.local.", IXFR, Transport::Tcp, "10.1.2.3").0, Outcome::Transfer(_)));
}
