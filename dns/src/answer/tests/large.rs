//! Large sets: as many records as fit, and no more work than they need.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use hickory_proto::rr::RData;

use super::*;
use crate::zone::Lookup;

const LONG: &str = "a-name-as-long-as-generated-names-of-services-are-now-and-then";

/// A headless service with so many endpoints, each at an address of its own.
fn headless_zone(name: &str, endpoints: u32) -> Arc<Zone> {
    let address = |n: u32| Ipv4Addr::from(0x0a01_0000 + n).to_string();
    let all = (1..=endpoints).map(|n| endpoint(n.into(), "", &address(n), &[("http", 8080)])).collect();
    let key = format!("demo/{name}");
    served([service(&key, headless()), bucket(&key, 1, 0, all)])
}

fn served(changes: impl IntoIterator<Item = Change>) -> Arc<Zone> {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    writer.apply(changes, 1);
    writer.sync("cluster.local", 1).unwrap();
    Arc::clone(writer.zone())
}

fn over_tcp(zone: &Zone, name: &str, rtype: RecordType) -> (Message, usize) {
    let mut out = Vec::new();
    let bytes = query(name, rtype).to_vec().unwrap();
    answer(&bytes, &Transport::Tcp.into(), zone, &Outside::Refused.into(), &mut Rng::with_seed(1), &mut out);
    (Message::from_vec(&out).unwrap(), out.len())
}

fn distinct(message: &Message) -> usize {
    message.answers.iter().map(|record| record.data.to_string()).collect::<BTreeSet<_>>().len()
}

#[test]
fn every_owner_is_a_pointer_so_that_a_record_takes_sixteen_bytes() {
    let name = format!("{LONG}.demo.svc.cluster.local.");
    let (message, len) = over_tcp(&headless_zone(LONG, 1200), &name, RecordType::A);
    assert!(!message.metadata.truncation);
    assert_eq!((distinct(&message), len), (1200, 12 + name.len() + 1 + 4 + 1200 * 16));
}

#[test]
fn of_five_thousand_endpoints_as_many_are_answered_as_64_kib_hold() {
    let name = "big.demo.svc.cluster.local.";
    let (message, len) = over_tcp(&headless_zone("big", 5000), name, RecordType::A);
    let most = (65_535 - (12 + name.len() + 1 + 4)) / 16;
    assert!(message.metadata.truncation && len <= 65_535);
    assert_eq!(distinct(&message), most);
    // Case belongs to the question, and costs nothing.
    let (message, _) = over_tcp(&headless_zone("big", 5000), &name.to_uppercase(), RecordType::A);
    assert_eq!(message.answers.len(), most);
    assert!(message.answers.iter().all(|record| record.name.to_ascii() == name.to_uppercase()));
}

#[test]
fn ports_point_to_the_question_and_their_addresses_to_the_ports() {
    let (name, target) = ("_http._tcp.big.demo.svc.cluster.local.", "10-1-0-1.big.demo.svc.cluster.local.");
    let (message, len) = over_tcp(&headless_zone("big", 240), name, RecordType::SRV);
    assert!(!message.metadata.truncation);
    assert_eq!((distinct(&message), message.additionals.len()), (240, 240));
    // Targets are whole (RFC 2782): resolvers refuse compressed ones. Labels of addresses differ by two digits.
    let most = 12 + name.len() + 1 + 4 + 240 * (2 + 10 + 6 + target.len() + 1 + 2 + 16);
    assert!(len <= most && len > most - 240 * 3, "{len} of {most}");
    let targets = message.answers.iter().map(|record| match &record.data {
        RData::SRV(srv) => srv.target.to_ascii(),
        other => panic!("{other}"),
    });
    let targets = targets.collect::<BTreeSet<_>>();
    assert!(message.additionals.iter().all(|record| targets.contains(&record.name.to_ascii())));
}

#[test]
fn ports_of_a_few_among_many_endpoints_are_all_found() {
    let address = |n: u32| Ipv4Addr::from(0x0a01_0000 + n).to_string();
    let ports = |n: u32| if n.is_multiple_of(1000) { [("rare", 1)] } else { [("http", 8080)] };
    let all = (1..=5000).map(|n| endpoint(n.into(), "", &address(n), &ports(n))).collect();
    let zone = served([service("demo/big", headless()), bucket("demo/big", 1, 0, all)]);
    let asked = query("_rare._tcp.big.demo.svc.cluster.local.", RecordType::SRV);
    assert_eq!(ask(&zone, &asked, Transport::Udp).answers.len(), 5);
}

#[test]
fn an_address_with_ten_thousand_names_has_as_many_as_fit() {
    let many_services = (0..10_000).flat_map(|n| {
        let key = format!("demo/s{n}");
        [service(&key, headless()), bucket(&key, 1, 0, vec![endpoint(n, "", "10.1.0.1", &[])])]
    });
    let many_endpoints = (0..10_000).map(|n| endpoint(n, &format!("h{n}"), "10.1.0.1", &[])).collect();
    let one_service = [service("demo/one", headless()), bucket("demo/one", 1, 0, many_endpoints)];
    for zone in [served(many_services), served(one_service)] {
        let asked = query("1.0.1.10.in-addr.arpa.", RecordType::PTR);
        let Lookup::Found(found) = zone.lookup(asked.queries[0].name(), RecordType::PTR, &mut Rng::with_seed(1), 33)
        else {
            panic!("a known address")
        };
        assert_eq!(found.answers.len(), 33, "no more are made than were to be had");
        let message = ask(&zone, &asked, Transport::Udp);
        assert!(message.metadata.truncation && message.answers.len() > 5);
        let (message, len) = over_tcp(&zone, "1.0.1.10.in-addr.arpa.", RecordType::PTR);
        assert!(distinct(&message) == message.answers.len() && len <= 65_535);
    }
}
