//! The fast way gives the bytes of the other one.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::answer::edns::cookie::Shown;
use crate::answer::{Asker, Manner, fast, slowly};
use crate::zone::apex::Apex;
use crate::zone::apexes::Apexes;
use crate::zone::model::{Staleness, WhenStale};
use crate::zone::reading::Reading;
use crate::zone::reading::exposed::Outward;
use crate::zone::{Registry, Rng};

const STALE: Staleness = Staleness { after_s: 1, then: WhenStale::Serve, at_source: true };

static ZONES: LazyLock<[Arc<Zone>; 4]> = LazyLock::new(|| {
    let many = (0..40_u16).map(|n| endpoint(n.into(), "", &format!("10.2.0.{n}"), &[("http", 80)]));
    let many: (Vec<_>, Vec<_>) = many.partition(|endpoint| endpoint.id % 2 == 0);
    let domains = vec![Name::from_ascii("consul.").unwrap()];
    let registry = Registry { namespace: "shop".into(), datacenter: "east".into(), only_passing: true, domains };
    let outward = Outward { domains: vec![Name::from_ascii("out.test.").unwrap()], headless: true, service: None };
    let settings = Settings { ttl: 30, registry, pod_names: PodNames::Insecure, outward, ..Settings::default() };
    let outward = settings.outward.domains.clone();
    let mut writer = ZoneWriter::new(settings);
    let many_ports: Vec<_> = (1..60_u16).map(|n| (format!("p{n}"), n)).collect();
    let many_ports: Vec<_> = many_ports.iter().map(|(name, number)| (name.as_str(), *number)).collect();
    let changes = [
        service("shop/db", headless()),
        bucket("shop/db", 2, 0, many.0),
        bucket("shop/db", 2, 1, many.1),
        service("shop/web", cluster_ip(&["10.96.0.1", "10.96.0.2", "fd00:96::1"], &many_ports)),
        service("dns/ns", cluster_ip(&["10.96.0.3"], &[])),
        service("shop/alike", cluster_ip(&["10.96.0.5"], &[("a", 53), ("b", 9153), ("c", 53)])),
        service("shop/far", external("api.Example.com")),
        service(
            "shop/edge",
            exposed(
                &["192.0.2.1", "192.0.2.2", "2001:db8::1"],
                &[],
                cluster_ip(&["10.96.0.6"], &[("http", 80), ("a", 80)]),
            ),
        ),
        service("shop/elb", exposed(&[], &["elb.example.com"], cluster_ip(&["10.96.0.7"], &[("http", 80)]))),
        service(
            "shop/both",
            exposed(&["192.0.2.3"], &["elb.example.com"], cluster_ip(&["10.96.0.8"], &[("http", 80)])),
        ),
        service("shop/near", external("api.k8s.example")),
        service("shop/like", external("api.example")),
        service("shop/late", Service { staleness: Some(STALE), ..external("api.example.com") }),
        service("shop/nothing", Service { kind: Kind::External { target: None }, ..external("x") }),
        service("shop/tags", headless()),
        bucket("shop/tags", 1, 0, tagged()),
        service("shop/stale", Service { staleness: Some(STALE), ..cluster_ip(&["10.96.0.4"], &[("http", 80)]) }),
    ];
    writer.apply(changes, 8);
    writer.apply_machines(super::registry::machines(), 8);
    let mut apexes = Apexes::of_cluster("k8s.example.").unwrap();
    apexes.add(Apex::new("old.k8s.example.", Reading::Cluster).unwrap());
    apexes.add(apexes.primary().beside(Name::from_ascii("other.example.").unwrap(), Reading::Cluster));
    apexes.add(apexes.primary().beside(Name::from_ascii("elsewhere.test.").unwrap(), Reading::Cluster));
    apexes.add_registry(&[Name::from_ascii("consul.").unwrap()]);
    apexes.add_exposed(&outward);
    writer.serve(apexes, 8);
    let restored = zone();
    restored.restored(7);
    [zone(), zone_with(PodNames::Verified), Arc::clone(writer.zone()), restored]
});

/// Endpoints with tags, in zones, one of them ailing.
fn tagged() -> Vec<Endpoint> {
    let of = |n: u64, hostname: &str, zone: &str, tag: &str| Endpoint {
        texts: Arc::from([Box::from(format!("tag={tag}")), Box::from("team=a")]),
        warns: n == 3,
        ..in_zone(
            zone,
            weighted(n as u16, endpoint(n, hostname, &format!("10.3.0.{n}"), &[("http", 80), ("pg", 5432)])),
        )
    };
    vec![of(1, "db-0", "a", "v1.2"), of(2, "db-0", "b", "v1.2"), of(3, "", "a", "canary"), of(4, "", "", "canary")]
}

/// Both ways, from the same randomness; the fast one only where it answers.
fn both(zone: &Zone, query: &[u8], transport: Transport, outside: Outside) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    let asker = Asker { now_s: 1_800_000_000, ..transport.into() };
    let manner = Manner { nsid: b"dns-0", secret: [7; 16], ..outside.into() };
    let summary = fast::answer(query, &asker, zone, &manner, &mut Rng::with_seed(3), &mut fast);
    assert!(summary.is_some() || fast.is_empty(), "nothing is left for the other way");
    let summary = summary.map(|given| match given {
        fast::Given::Ours(summary) => summary,
        fast::Given::Others => panic!("nothing is kept"),
    });
    match (slowly(query, &asker, zone, &manner, &mut Rng::with_seed(3), &mut slow), summary) {
        (Outcome::Answered(other), Some(summary)) => {
            assert_eq!(other, summary);
            (Some(fast), Some(slow))
        }
        (Outcome::Answered(_), None) => (None, Some(slow)),
        (other, None) => (None, matches!(other, Outcome::Answered(_)).then_some(slow)),
        (other, Some(_)) => panic!("{other:?}, but the fast way answers {fast:02x?}"),
    }
}

/// Labels of names that there are, and of others.
const LABELS: [&str; 47] = [
    "n1",
    "node",
    "internal",
    "tags",
    "far",
    "service",
    "dc",
    "a",
    "v1",
    "canary",
    "_zone",
    "pin",
    "addr",
    "0a030001",
    "_canary",
    "web",
    "db",
    "shop",
    "svc",
    "pod",
    "db-0",
    "db-5",
    "10-1-0-3",
    "10-2-0-7",
    "fd00--3",
    "_http",
    "_pg",
    "_tcp",
    "_udp",
    "ns",
    "dns",
    "dns-version",
    "hostmaster",
    "early",
    "empty",
    "away",
    "inside",
    "x",
    "*",
    "WEB",
    "Shop",
    "_p7",
    "e-0",
    "1",
    "10",
    "96",
    "0",
];

/// Names below a zone, most of which there are.
const STARTS: [&str; 57] = [
    "n1.node",
    "vm-17.node",
    "vm-17.node.shop.ns",
    "ip-1.ec2.internal.node",
    "bare.node",
    "web.shop.svc",
    "stale.shop.svc",
    "alike.shop.svc",
    "db.shop.svc",
    "_http._tcp.web.shop.svc",
    "_p7._tcp.web.shop.svc",
    "_pg._tcp.db.shop.svc",
    "_http._tcp.db.shop.svc",
    "db-0.db.shop.svc",
    "10-2-0-7.db.shop.svc",
    "shop.svc",
    "svc",
    "10-1-0-2.shop.pod",
    "1.0.96.10",
    "2.0.1.10",
    "7.0.2.10",
    "3.0.2.10",
    "early.shop.svc",
    "far.shop.svc",
    "near.shop.svc",
    "like.shop.svc",
    "late.shop.svc",
    "nothing.shop.svc",
    "away.shop.svc",
    "tags.shop.svc",
    "a.pin._zone.tags.shop.svc",
    "b.prefer._zone.tags.shop.svc",
    "_pg._tcp.tags.shop.svc",
    "db-0.tags.shop.svc",
    "tags.service",
    "far.service",
    "canary.tags.service",
    "v1.2.tags.service",
    "_tags._canary.service",
    "_tags._tcp.service",
    "tags.service.a.dc",
    "tags.service.shop.ns",
    "10-3-0-1.shop.pod",
    "fd00--3.nobody.pod",
    "1.0.3.10",
    "ns.dns",
    "ns.dns.svc",
    "ns1.dns",
    "edge.shop",
    "_http._tcp.edge.shop",
    "_a._tcp.edge.shop",
    "elb.shop",
    "_http._tcp.elb.shop",
    "both.shop",
    "db.shop",
    "_http._tcp.db.shop",
    "10-2-0-7.db.shop",
];

fn name() -> impl Strategy<Value = String> {
    let label = prop::sample::select(LABELS.to_vec());
    let start = prop_oneof![Just(Vec::new()), prop::sample::select(STARTS.to_vec()).prop_map(|name| vec![name]),];
    let domain = prop::sample::select(vec![
        "cluster.local.",
        "in-addr.arpa.",
        "k8s.example.",
        "old.k8s.example.",
        "other.example.",
        "elsewhere.test.",
        "consul.",
        "service.consul.",
        "service.shop.ns.consul.",
        "example.",
        "CLUSTER.local.",
        "cluster.Local.",
        "ip6.arpa.",
        "out.test.",
        "OUT.test.",
    ]);
    (prop::collection::vec(label, 0..3), start, domain).prop_map(|(before, start, domain)| {
        before.into_iter().chain(start).chain([domain]).collect::<Vec<_>>().join(".")
    })
}

fn rtype() -> impl Strategy<Value = RecordType> {
    prop_oneof![
        6 => prop::sample::select(vec![RecordType::A, RecordType::AAAA, RecordType::SRV, RecordType::PTR]),
        1 => prop::sample::select(vec![RecordType::TXT, RecordType::NS, RecordType::SOA, RecordType::ANY, RecordType::CNAME, RecordType::AXFR]),
        1 => any::<u16>().prop_map(RecordType::from),
    ]
}

/// Options as they come, good and bad; the first one is a cookie that the server knows.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let from = Asker::from(Transport::Udp).from;
    let known = *Shown::read(&[9; 8], from, 1_800_000_000 - 100, &[7; 16]).unwrap().answer();
    let option = prop_oneof![
        Just((10, known.to_vec())),
        Just((3, Vec::new())),
        Just((11, Vec::new())),
        Just((8, vec![0, 1, 24, 0, 10, 1, 2])),
        (Just(10), prop::collection::vec(any::<u8>(), 0..42)),
        (any::<u16>(), prop::collection::vec(any::<u8>(), 0..20)),
    ];
    prop::collection::vec(option, 0..3).prop_map(|options| {
        options
            .into_iter()
            .flat_map(|(code, data)| [&u16::to_be_bytes(code)[..], &(data.len() as u16).to_be_bytes(), &data].concat())
            .collect()
    })
}

fn asked() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::option::of(prop_oneof![Just(1232_u16), 0..600_u16, any::<u16>()]);
    let all = (name(), rtype(), payload, any::<bool>(), any::<[u8; 4]>(), options());
    all.prop_map(|(name, rtype, payload, dnssec_ok, header, options)| {
        let mut message = query(&name, rtype);
        if let Some(payload) = payload {
            let mut edns = hickory_proto::op::Edns::new();
            edns.set_max_payload(payload);
            edns.set_dnssec_ok(dnssec_ok);
            message.set_edns(edns);
        }
        let mut bytes = message.to_vec().unwrap();
        if payload.is_some() {
            let len = bytes.len();
            bytes[len - 2..].copy_from_slice(&(options.len() as u16).to_be_bytes());
            bytes.extend(options);
        }
        bytes[..2].copy_from_slice(&header[..2]);
        bytes[2] = header[2] & 0x07;
        bytes[3] = header[3];
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_answered_the_fast_way_is_the_answer_of_the_other_one(
        query in asked(), zone in 0..4_usize, tcp in any::<bool>(), forwarded in any::<bool>(), damage in prop::option::of((12..60_usize, any::<u8>())),
    ) {
        let mut query = query;
        if let Some((at, byte)) = damage && let Some(place) = query.get_mut(at) {
            *place = byte;
        }
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let outside = if forwarded { Outside::Forwarded } else { Outside::Refused };
        if let (Some(fast), slow) = both(&ZONES[zone], &query, transport, outside) {
            prop_assert_eq!(Some(fast), slow);
        }
    }
}

#[test]
fn the_common_kinds_take_the_fast_way() {
    for (name, rtype) in [
        ("web.shop.svc.cluster.local.", RecordType::A),
        ("WEB.shop.svc.cluster.LOCAL.", RecordType::AAAA),
        ("away.shop.svc.cluster.local.", RecordType::A),
        ("Away.shop.svc.cluster.local.", RecordType::CNAME),
        ("away.shop.svc.cluster.local.", RecordType::SRV),
        ("db.shop.svc.cluster.local.", RecordType::A),
        ("db-0.db.shop.svc.cluster.local.", RecordType::A),
        ("db-0.db.shop.svc.cluster.local.", RecordType::AAAA),
        ("web.shop.svc.cluster.local.", RecordType::MX),
        ("nobody.shop.svc.cluster.local.", RecordType::A),
        ("nobody.shop.svc.CLUSTER.local.", RecordType::A),
        ("web.shop.svc.cluster.LOCAL.", RecordType::MX),
        ("_pg._tcp.db.shop.svc.cluster.local.", RecordType::SRV),
        ("db.shop.svc.cluster.local.", RecordType::SRV),
        ("_PG._tcp.db.shop.svc.Cluster.local.", RecordType::SRV),
        ("www.example.com.shop.svc.cluster.local.", RecordType::A),
        ("www.example.com.svc.cluster.local.", RecordType::AAAA),
        ("_http._tcp.web.shop.svc.cluster.local.", RecordType::SRV),
        ("1.0.96.10.in-addr.arpa.", RecordType::PTR),
        ("2.0.1.10.in-addr.arpa.", RecordType::PTR),
        ("9.9.9.9.in-addr.arpa.", RecordType::PTR),
    ] {
        take_it(&ZONES[0], name, rtype);
        // As from a snapshot, where each says that it may be stale.
        take_it(&ZONES[3], name, rtype);
    }
    for (name, rtype) in [
        ("edge.shop.out.test.", RecordType::A),
        ("edge.shop.OUT.test.", RecordType::AAAA),
        ("edge.shop.out.test.", RecordType::SRV),
        ("_a._tcp.edge.shop.out.test.", RecordType::SRV),
        ("elb.shop.out.test.", RecordType::A),
        ("nobody.shop.out.test.", RecordType::A),
        ("db.shop.out.test.", RecordType::A),
        ("_http._tcp.db.shop.out.test.", RecordType::SRV),
    ] {
        take_it(&ZONES[2], name, rtype);
    }
}

fn take_it(zone: &Zone, name: &str, rtype: RecordType) {
    let mut asked = query(name, rtype);
    asked.set_edns(hickory_proto::op::Edns::new());
    for query in [query(name, rtype), asked].map(|query| query.to_vec().unwrap()) {
        let (fast, slow) = both(zone, &query, Transport::Udp, Outside::Refused);
        assert!(fast.is_some(), "{name} {rtype}");
        assert_eq!(fast, slow, "{name} {rtype}");
    }
}

#[test]
fn ports_of_one_number_are_one_record() {
    let query = query("alike.shop.svc.k8s.example.", RecordType::SRV).to_vec().unwrap();
    let (fast, slow) = both(&ZONES[2], &query, Transport::Udp, Outside::Refused);
    assert_eq!(fast.as_ref().map(|bytes| bytes[6..8].to_vec()), Some(vec![0, 2]));
    assert_eq!(fast, slow);
}

#[test]
fn a_service_without_ports_has_no_srv_and_no_addresses_beside_it() {
    let query = query("ns.dns.svc.k8s.example.", RecordType::SRV).to_vec().unwrap();
    let (fast, slow) = both(&ZONES[2], &query, Transport::Udp, Outside::Refused);
    let counts = |answer: &Option<Vec<u8>>| answer.as_ref().map(|bytes| bytes[6..12].to_vec());
    assert_eq!(counts(&slow), Some(vec![0, 0, 0, 1, 0, 0]));
    assert_eq!(fast, slow);
}
