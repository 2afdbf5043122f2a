//! Names of services that are reached from outside the cluster: what CoreDNS's plugin `k8s_external` is tested for, and where answers
//! here differ.

use RecordType::{A, AAAA, ANY, AXFR, CNAME, MX, NS, PTR, SOA, SRV, TXT};

use super::*;
use crate::answer::transfer::Transfer;
use crate::answer::{Asker, Manner, Networks};
use crate::zone::Lookup;
use crate::zone::reading::exposed::Outward;

/// The services of that plugin's tests, and some more.
fn zone_of(outward: Outward) -> Arc<Zone> {
    let name_servers = vec!["127.0.0.1".parse().unwrap()];
    let mut writer = ZoneWriter::new(Settings { ttl: 5, name_servers, outward, ..Settings::default() });
    let http = &[("http", 80)][..];
    let of_service = |address: &str| cluster_ip(&[address], http);
    let two = vec![endpoint(1, "endpoint-svc-0", "1.2.3.4", http), endpoint(2, "endpoint-svc-1", "1.2.3.5", http)];
    let changes = [
        service("testns/svc1", exposed(&["1.2.3.4"], &[], of_service("10.0.0.1"))),
        service("testns/svc6", exposed(&["1:2::5"], &[], of_service("10.0.0.3"))),
        service("testns/svc11", exposed(&["2.3.4.5"], &[], of_service("10.0.0.4"))),
        service("testns/svc12", exposed(&[], &["dummy.hostname"], of_service("10.0.0.5"))),
        service("testns/inside", of_service("10.0.0.6")),
        service("testns/mixed", exposed(&["3.4.5.6"], &["a.example.com", "b.example.com"], of_service("10.0.0.7"))),
        service("testns/silent", exposed(&["3.4.5.7"], &[], headless())),
        service("testns/svc-headless", headless()),
        bucket("testns/svc-headless", 1, 0, two),
        service("testns/ns", exposed(&["4.5.6.7", "4:5::6"], &[], of_service("10.0.0.8"))),
        service("dns/svc1", exposed(&["9.9.9.9"], &[], of_service("10.0.0.9"))),
    ];
    writer.apply(changes, 7);
    writer.sync("cluster.local", 7).unwrap();
    Arc::clone(writer.zone())
}

fn outward() -> Outward {
    let domains = ["example.com.", "k8s.example.net."].map(|name| Name::from_ascii(name).unwrap()).to_vec();
    Outward { domains, headless: true, service: None }
}

const SOA_ALONE: &[&str] = &["ns example.com. SOA"];

/// A name below `example.com.`, a type, the code, and the records as [`told`] has them, with `@` for that name.
const CASES: &[(&str, RecordType, &str, &[&str])] = &[
    ("svc1.testns.", A, "NOERROR", &["an @ A 1.2.3.4"]),
    ("SVC1.TestNS.", A, "NOERROR", &["an @ A 1.2.3.4"]),
    ("svc1.testns.", PTR, "NOERROR", SOA_ALONE),
    ("not-existing.testns.", PTR, "NXDOMAIN", SOA_ALONE),
    ("svc1.testns.", SRV, "NOERROR", &["ad @ A 1.2.3.4", "an @ SRV 0 0 80 @"]),
    ("*._not-udp-or-tcp.svc1.testns.", SRV, "NXDOMAIN", SOA_ALONE),
    (
        "_http._tcp.svc1.testns.",
        SRV,
        "NOERROR",
        &["ad svc1.testns.example.com. A 1.2.3.4", "an @ SRV 0 0 80 svc1.testns.example.com."],
    ),
    ("_http._udp.svc1.testns.", SRV, "NXDOMAIN", SOA_ALONE),
    ("_tcp.svc1.testns.", SRV, "NOERROR", SOA_ALONE),
    ("_sctp.svc1.testns.", SRV, "NXDOMAIN", SOA_ALONE),
    ("svc1.testns.", AAAA, "NOERROR", SOA_ALONE),
    ("svc0.testns.", AAAA, "NXDOMAIN", SOA_ALONE),
    ("svc0.testns.", A, "NXDOMAIN", SOA_ALONE),
    ("svc0.svc-nons.", A, "NXDOMAIN", SOA_ALONE),
    ("svc6.testns.", AAAA, "NOERROR", &["an @ AAAA 1:2::5"]),
    (
        "_http._tcp.svc6.testns.",
        SRV,
        "NOERROR",
        &["ad svc6.testns.example.com. AAAA 1:2::5", "an @ SRV 0 0 80 svc6.testns.example.com."],
    ),
    ("svc6.testns.", SRV, "NOERROR", &["ad @ AAAA 1:2::5", "an @ SRV 0 0 80 @"]),
    ("testns.", A, "NOERROR", SOA_ALONE),
    ("testns.", SOA, "NOERROR", SOA_ALONE),
    ("svc11.testns.", A, "NOERROR", &["an @ A 2.3.4.5"]),
    (
        "_http._tcp.svc11.testns.",
        SRV,
        "NOERROR",
        &["ad svc11.testns.example.com. A 2.3.4.5", "an @ SRV 0 0 80 svc11.testns.example.com."],
    ),
    ("svc12.testns.", A, "NOERROR", &["an @ CNAME dummy.hostname."]),
    ("svc12.testns.", AAAA, "NOERROR", &["an @ CNAME dummy.hostname."]),
    ("svc12.testns.", CNAME, "NOERROR", &["an @ CNAME dummy.hostname."]),
    ("svc12.testns.", MX, "NOERROR", &["an @ CNAME dummy.hostname."]),
    ("_http._tcp.svc12.testns.", SRV, "NOERROR", &["an @ SRV 0 0 80 dummy.hostname."]),
    ("svc12.testns.", SRV, "NOERROR", &["an @ SRV 0 0 80 dummy.hostname."]),
    ("svc-headless.testns.", A, "NOERROR", &["an @ A 1.2.3.4", "an @ A 1.2.3.5"]),
    (
        "_http._tcp.svc-headless.testns.",
        SRV,
        "NOERROR",
        &[
            "ad endpoint-svc-0.svc-headless.testns.example.com. A 1.2.3.4",
            "ad endpoint-svc-1.svc-headless.testns.example.com. A 1.2.3.5",
            "an @ SRV 0 1 80 endpoint-svc-0.svc-headless.testns.example.com.",
            "an @ SRV 0 1 80 endpoint-svc-1.svc-headless.testns.example.com.",
        ],
    ),
    ("endpoint-svc-0.svc-headless.testns.", SRV, "NOERROR", &["ad @ A 1.2.3.4", "an @ SRV 0 1 80 @"]),
    ("endpoint-svc-1.svc-headless.testns.", A, "NOERROR", &["an @ A 1.2.3.5"]),
    ("endpoint-svc-2.svc-headless.testns.", A, "NXDOMAIN", SOA_ALONE),
    ("a.b.c.svc-headless.testns.", A, "NXDOMAIN", SOA_ALONE),
    // What that plugin answers otherwise.
    ("any.svc1.testns.", A, "NXDOMAIN", SOA_ALONE),
    ("_http._tcp.svc1.testns.", A, "NOERROR", SOA_ALONE),
    ("inside.testns.", A, "NXDOMAIN", SOA_ALONE),
    ("silent.testns.", A, "NOERROR", &["an @ A 3.4.5.7"]),
    ("mixed.testns.", A, "NOERROR", &["an @ A 3.4.5.6"]),
    (
        "_http._tcp.mixed.testns.",
        SRV,
        "NOERROR",
        &[
            "ad mixed.testns.example.com. A 3.4.5.6",
            "an @ SRV 0 0 80 a.example.com.",
            "an @ SRV 0 0 80 b.example.com.",
            "an @ SRV 0 0 80 mixed.testns.example.com.",
        ],
    ),
    ("svc1.testns.", TXT, "NOERROR", SOA_ALONE),
    ("svc1.testns.", ANY, "NOERROR", &["an @ HINFO RFC8482 "]),
    // The zone's own names.
    ("", NS, "NOERROR", &["ad ns1.dns.example.com. A 127.0.0.1", "an @ NS ns1.dns.example.com."]),
    ("", A, "NOERROR", SOA_ALONE),
    ("", SRV, "NOERROR", SOA_ALONE),
    ("dns.", A, "NOERROR", SOA_ALONE),
    ("dns.", SOA, "NOERROR", SOA_ALONE),
    ("ns1.dns.", A, "NOERROR", &["an @ A 127.0.0.1"]),
    ("ns1.dns.", AAAA, "NOERROR", SOA_ALONE),
    ("ns1.dns.", SOA, "NOERROR", SOA_ALONE),
    ("ns2.dns.", A, "NXDOMAIN", SOA_ALONE),
    ("svc1.dns.", A, "NXDOMAIN", SOA_ALONE),
    ("a.ns1.dns.", A, "NXDOMAIN", SOA_ALONE),
];

#[test]
fn services_are_told_as_by_k8s_external_but_for_what_is_listed() {
    let zone = zone_of(outward());
    for (below, rtype, code, records) in CASES {
        let name = format!("{below}example.com.");
        let mut expected: Vec<_> = records.iter().map(|record| record.replace('@', &name)).collect();
        expected.sort();
        expected.insert(0, (*code).to_owned());
        let lower = |lines: Vec<String>| lines.iter().map(|line| line.to_lowercase()).collect::<Vec<_>>();
        assert_eq!(lower(told(&zone, &name, *rtype)), lower(expected), "{name} {rtype}");
        let other = format!("{below}k8s.example.net.");
        assert_eq!(told(&zone, &other, *rtype)[0], *code, "{other} {rtype}");
    }
}

#[test]
fn the_apex_has_the_names_that_a_delegation_by_k8s_external_has() {
    let zone = zone_of(outward());
    let soa = ask(&zone, &query("example.com.", SOA), Transport::Udp).answers.remove(0).data.to_string();
    assert_eq!(soa, "ns1.dns.example.com. hostmaster.dns.example.com. 7 7200 1800 86400 5");
    let denied = ask(&zone, &query("x.testns.example.com.", A), Transport::Udp).authorities.remove(0);
    assert_eq!((denied.name.to_string(), denied.data.to_string()), ("example.com.".to_owned(), soa));
}

#[test]
fn the_name_server_is_where_the_service_of_the_server_is() {
    let zone = zone_of(Outward { service: Some("testns/ns".into()), ..outward() });
    let name = "ns1.dns.example.com.";
    assert_eq!(told(&zone, name, A), ["NOERROR", &format!("an {name} A 4.5.6.7")]);
    assert_eq!(told(&zone, name, AAAA), ["NOERROR", &format!("an {name} AAAA 4:5::6")]);
    let inside = "ns.dns.cluster.local.";
    assert_eq!(told(&zone, inside, A), ["NOERROR", &format!("an {inside} A 127.0.0.1")]);
}

#[test]
fn an_address_leads_back_unless_the_cluster_has_it() {
    let zone = zone_of(outward());
    let ptr = |name: &str| told(&zone, name, PTR);
    let name = "5.4.3.2.in-addr.arpa.";
    assert_eq!(ptr(name), ["NOERROR", &format!("an {name} PTR svc11.testns.example.com.")]);
    // An endpoint has it as well.
    let name = "4.3.2.1.in-addr.arpa.";
    let inside = "endpoint-svc-0.svc-headless.testns.svc.cluster.local.";
    assert_eq!(ptr(name), ["NOERROR", &format!("an {name} PTR {inside}")]);
    let zone = zone_of(Outward::default());
    assert_eq!(told(&zone, "5.4.3.2.in-addr.arpa.", PTR)[0], "NXDOMAIN");
    assert_eq!(told(&zone, "svc1.testns.example.com.", A)[0], "REFUSED");
}

#[test]
fn endpoints_have_names_there_by_choice_alone() {
    let zone = zone_of(Outward { headless: false, ..outward() });
    for name in ["svc-headless.testns.example.com.", "endpoint-svc-0.svc-headless.testns.example.com."] {
        assert_eq!(told(&zone, name, A), ["NXDOMAIN", "ns example.com. SOA"]);
    }
    assert_eq!(told(&zone, "silent.testns.example.com.", A).len(), 2);
}

#[test]
fn a_copy_of_the_zone_has_every_name_and_nothing_beside_a_cname() {
    let zone = zone_of(outward());
    let manner = Manner { transfer_to: Networks::of(&["10.0.0.0/8".parse().unwrap()]), ..Outside::Refused.into() };
    let asker = Asker { from: "10.1.2.3".parse().unwrap(), ..Transport::Tcp.into() };
    let (query, mut out) = (query("example.com.", AXFR).to_vec().unwrap(), Vec::new());
    let outcome = answer(&query, &asker, &zone, &manner, &mut Rng::with_seed(1), &mut out);
    let Outcome::Transfer(mut transfer) = outcome else { panic!("{outcome:?}") };
    let records = all(&mut transfer, &zone);
    let of = |name: &str| -> Vec<_> {
        let own = records.iter().filter(|record| record.name.to_string() == format!("{name}example.com."));
        own.map(|record| record.record_type()).collect()
    };
    assert_eq!(of("svc12.testns."), [CNAME]);
    assert_eq!(of("svc1.testns."), [A, SRV]);
    assert_eq!((of("_http._tcp.svc12.testns."), of("ns1.dns.")), (vec![SRV], vec![A]));
    assert_eq!(of("endpoint-svc-1.svc-headless.testns."), [A, SRV]);
    assert!(of("inside.testns.").is_empty());
    for record in &records {
        let found = zone.lookup(&record.name, record.record_type(), &mut Rng::with_seed(1), usize::MAX);
        assert!(matches!(found, Lookup::Found(found) if found.answers.contains(record)), "{record}");
    }
}

fn all(transfer: &mut Transfer, zone: &Zone) -> Vec<hickory_proto::rr::Record> {
    let (mut records, mut out) = (Vec::new(), Vec::new());
    while transfer.next(zone, &mut Rng::with_seed(1), &mut out) {
        records.extend(Message::from_vec(&out).unwrap().answers);
    }
    records
}
