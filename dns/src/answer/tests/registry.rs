//! Names of a registry, by the forms of Consul.

use RecordType::{A, AAAA, MX, SRV, TXT};

use super::*;
use crate::zone::Registry;
use crate::zone::machines::{self, Machine};

/// Two domains of registries beside the cluster's, and endpoints with tags.
fn registry() -> Arc<Zone> {
    registry_with(false)
}

fn registry_with(only_passing: bool) -> Arc<Zone> {
    let domains = ["rollcall.", "consul."].map(|name| Name::from_ascii(name).unwrap()).to_vec();
    let registry = Registry { domains, namespace: "shop".into(), datacenter: "east".into(), only_passing };
    let mut writer = ZoneWriter::new(Settings { ttl: 5, registry, ..Settings::default() });
    let tagged = |tags: &[&str], endpoint: Endpoint| {
        let texts: Vec<Box<str>> = tags.iter().map(|tag| format!("tag={tag}").into()).collect();
        Endpoint { texts: texts.into(), ..endpoint }
    };
    let warning = |endpoint: Endpoint| Endpoint { warns: true, ..endpoint };
    let changes = [
        service("shop/db", headless()),
        bucket(
            "shop/db",
            1,
            0,
            vec![
                weighted(
                    10,
                    in_zone("a", tagged(&["primary", "V1.2"], endpoint(1, "db-0", "10.1.0.2", &[("pg", 5432)]))),
                ),
                weighted(3, warning(in_zone("b", tagged(&["replica"], endpoint(2, "", "10.1.0.3", &[("pg", 5433)]))))),
                not_ready(tagged(&["broken"], endpoint(3, "db-3", "10.1.0.4", &[("pg", 5434)]))),
            ],
        ),
        service("shop/web", cluster_ip(&["10.96.0.1", "fd00:96::1"], &[("http", 80)])),
        service("other/api", cluster_ip(&["10.96.0.2"], &[])),
        service("shop/away", external("api.example.com")),
    ];
    writer.apply(changes, 7);
    writer.apply_machines(machines(), 7);
    writer.sync("cluster.local", 7).unwrap();
    Arc::clone(writer.zone())
}

/// Nodes, one of which has a name with dots, and machines of registrations.
pub(super) fn machines() -> Vec<machines::Change> {
    let machine = |key: &str, addresses: &[&str], zone: &str| {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let texts = if zone.is_empty() { Arc::default() } else { Arc::from([format!("zone={zone}").into()]) };
        (key.into(), Some(Arc::new(Machine::new(addresses, zone, texts))))
    };
    vec![
        machine("n1", &["192.0.2.1", "fd00:2::1"], "A"),
        machine("ip-1.ec2.internal", &["192.0.2.2"], "c"),
        machine("bare", &[], ""),
        machine("shop/vm-17", &["198.51.100.17", "198.51.100.18"], "b"),
        machine("shop/n1", &["203.0.113.66"], ""),
        machine("shop/internal", &["198.51.100.19"], ""),
        machine("other/vm-18", &["198.51.100.20"], ""),
    ]
}

#[test]
fn services_are_found_by_name_namespace_and_tag_in_each_domain() {
    let zone = registry();
    for domain in ["rollcall.", "consul.", "CONSUL."] {
        for (name, addresses) in [
            ("db.service", &["10.1.0.2", "10.1.0.3"][..]),
            ("DB.service", &["10.1.0.2", "10.1.0.3"]),
            ("db.service.shop.ns", &["10.1.0.2", "10.1.0.3"]),
            ("primary.db.service", &["10.1.0.2"]),
            ("v1.2.db.service", &["10.1.0.2"]),
            ("replica.db.service.shop.ns", &["10.1.0.3"]),
            ("db.service.east", &["10.1.0.2", "10.1.0.3"]),
            ("db.service.east.dc", &["10.1.0.2", "10.1.0.3"]),
            ("db.service.a", &["10.1.0.2"]),
            ("db.service.shop.ns.B.dc", &["10.1.0.3"]),
            ("db.service.b.dc.shop.ns", &["10.1.0.3"]),
            ("primary.db.service.a", &["10.1.0.2"]),
            ("web.service.east", &["10.96.0.1"]),
            ("0a010203.addr.east", &["10.1.2.3"]),
            ("web.service", &["10.96.0.1"]),
            ("api.service.other.ns", &["10.96.0.2"]),
            ("0a010203.addr", &["10.1.2.3"]),
        ] {
            let name = format!("{name}.{domain}");
            assert_eq!(told(&zone, &name, A), leads_to(&name, addresses), "{name}");
        }
    }
    let name = "fd000000000000000000000000000001.addr.consul.";
    assert_eq!(told(&zone, name, AAAA), ["NOERROR", &format!("an {name} AAAA fd00::1")]);
    assert_eq!(told(&zone, "away.service.consul.", A), ["NOERROR", "an away.service.consul. CNAME api.example.com."]);
}

#[test]
fn srv_leads_to_the_names_of_the_cluster_with_the_weights_of_the_catalog() {
    let zone = registry();
    let own = "db.shop.svc.cluster.local.";
    let line =
        |name: &str, weight: u16, port: u16, label: &str| format!("an {name} SRV 0 {weight} {port} {label}.{own}");
    for name in [
        "db.service.consul.",
        "_db._tcp.service.consul.",
        "_db._udp.service.shop.ns.consul.",
        "_db._tcp.consul.",
        "_db._tcp.east.consul.",
        "_db._tcp.east.dc.consul.",
        "_db._udp.shop.ns.consul.",
    ] {
        let expected = [
            "NOERROR".to_owned(),
            format!("ad 10-1-0-3.{own} A 10.1.0.3"),
            format!("ad db-0.{own} A 10.1.0.2"),
            line(name, 10, 5432, "db-0"),
            line(name, 3, 5433, "10-1-0-3"),
        ];
        assert_eq!(told(&zone, name, SRV), expected);
    }
    for name in ["_db._replica.service.consul.", "_db._replica.consul.", "_db._replica.b.consul."] {
        let expected = ["NOERROR".to_owned(), format!("ad 10-1-0-3.{own} A 10.1.0.3"), line(name, 3, 5433, "10-1-0-3")];
        assert_eq!(told(&zone, name, SRV), expected);
    }
    let web = "web.service.consul.";
    assert_eq!(told(&zone, web, SRV).last().unwrap(), &format!("an {web} SRV 0 0 80 web.shop.svc.cluster.local."));
}

#[test]
fn what_is_not_there_is_told_from_what_has_other_data() {
    let zone = registry();
    for (name, rtype) in [
        ("db.service", MX),
        ("primary.db.service", MX),
        ("a", A),
        ("east", A),
        ("dc", A),
        ("b.dc", A),
        ("service.a", A),
        ("web.service", TXT),
        ("service", A),
        ("addr", A),
        ("ns", A),
        ("shop.ns", A),
        ("service.shop.ns", A),
        // Whoever asks label by label (RFC 9156) comes by these.
        ("_tcp.service", A),
        ("_replica.service.shop.ns", SRV),
        ("_tcp", A),
        ("_tcp.shop.ns", A),
        ("_replica.east", A),
        ("0a010203.addr", AAAA),
    ] {
        assert_eq!(told(&zone, &format!("{name}.consul."), rtype), ["NOERROR", "ns consul. SOA"], "{name}");
    }
    for name in [
        "nobody.service",
        "broken.db.service",
        "primary.web.service",
        "db.service.other.ns",
        "db.service.nowhere.ns",
        "nowhere.ns",
        "0a0102.addr",
        "xyz01020.addr",
        "n2.node",
        "db",
        "nowhere.dc",
        "db.service.nowhere",
        "primary.db.service.b",
        "web.service.a",
        "_db._canary.service",
        "_db._canary",
        "_nobody._tcp",
        "_db._tcp.nowhere",
        "_tcp.nowhere",
        "_db._tcp._x",
        "db._tcp",
    ] {
        assert_eq!(told(&zone, &format!("{name}.consul."), A), ["NXDOMAIN", "ns consul. SOA"], "{name}");
    }
}

#[test]
fn machines_are_found_by_name_and_those_of_registrations_by_their_namespace() {
    let zone = registry();
    for (name, rtype, data) in [
        ("n1.node", A, &["192.0.2.1"][..]),
        ("N1.Node", AAAA, &["fd00:2::1"]),
        ("n1.node", TXT, &["zone=A"]),
        ("n1.node.east", A, &["192.0.2.1"]),
        ("n1.node.east.dc", A, &["192.0.2.1"]),
        ("n1.node.a", A, &["192.0.2.1"]),
        ("ip-1.ec2.internal.node", A, &["192.0.2.2"]),
        ("ip-1.ec2.internal.node.c.dc", A, &["192.0.2.2"]),
        ("vm-17.node", A, &["198.51.100.17", "198.51.100.18"]),
        ("vm-17.node.shop.ns", A, &["198.51.100.17", "198.51.100.18"]),
        ("vm-17.node.shop.ns.b.dc", A, &["198.51.100.17", "198.51.100.18"]),
        ("n1.node.shop.ns", A, &["203.0.113.66"]),
        ("internal.node", A, &["198.51.100.19"]),
        ("vm-18.node.other.ns", A, &["198.51.100.20"]),
    ] {
        let name = format!("{name}.rollcall.");
        let mut expected = vec!["NOERROR".to_owned()];
        expected.extend(data.iter().map(|data| format!("an {name} {rtype} {data}")));
        assert_eq!(told(&zone, &name, rtype), expected, "{name}");
    }
    for (name, rtype) in [
        ("node", A),
        ("node.shop.ns", A),
        ("node.c.dc", A),
        ("c.dc", A),
        ("ec2.internal.node", A),
        ("n1.node", SRV),
        ("bare.node", A),
        ("vm-17.node", AAAA),
        ("vm-17.node.shop.ns", MX),
    ] {
        assert_eq!(told(&zone, &format!("{name}.consul."), rtype), ["NOERROR", "ns consul. SOA"], "{name}");
    }
    for name in [
        "n2.node",
        "x.n1.node",
        "ec3.internal.node",
        "n1.node.b",
        "n1.node.other.ns",
        "vm-18.node",
        "vm-17.node.nowhere.ns",
        "node.nowhere.dc",
        "n1.nodes",
    ] {
        assert_eq!(told(&zone, &format!("{name}.consul."), A), ["NXDOMAIN", "ns consul. SOA"], "{name}");
    }
}

/// A label of a query may have any byte: a dot in it is none between labels.
#[test]
fn a_dot_within_a_label_finds_no_machine() {
    let zone = registry();
    assert_eq!(told(&zone, r"ip-1\.ec2.internal.node.consul.", A), ["NXDOMAIN", "ns consul. SOA"]);
}

#[test]
fn a_registry_does_not_take_the_name_of_the_cluster() {
    let domains = vec![Name::from_ascii("cluster.local.").unwrap()];
    let registry = Registry { domains, namespace: "shop".into(), ..Registry::default() };
    let mut writer = ZoneWriter::new(Settings { ttl: 5, registry, ..Settings::default() });
    writer.apply([service("shop/web", cluster_ip(&["10.96.0.1"], &[]))], 7);
    writer.sync("cluster.local", 7).unwrap();
    let name = "web.shop.svc.cluster.local.";
    assert_eq!(told(writer.zone(), name, A), ["NOERROR", &format!("an {name} A 10.96.0.1")]);
}

#[test]
fn what_owners_say_is_txt_of_a_service_or_of_the_chosen_ones() {
    let zone = registry();
    let of = |name: &str, texts: &[&str]| {
        let lines = texts.iter().map(|text| format!("an {name} TXT {text}"));
        let expected: Vec<_> = std::iter::once("NOERROR".to_owned()).chain(lines).collect();
        assert_eq!(told(&zone, name, TXT), expected);
    };
    of("db.service.consul.", &["tag=primarytag=V1.2", "tag=replica"]);
    of("replica.db.service.consul.", &["tag=replica"]);
    of("db.service.a.dc.consul.", &["tag=primarytag=V1.2"]);
}

#[test]
fn only_passing_leaves_warning_out_of_the_registrys_names_alone() {
    let zone = registry_with(true);
    for name in ["db.service.consul.", "_db._tcp.service.east.consul."] {
        assert_eq!(told(&zone, name, A), ["NOERROR", &format!("an {name} A 10.1.0.2")], "{name}");
    }
    assert_eq!(told(&zone, "replica.db.service.consul.", A), ["NXDOMAIN", "ns consul. SOA"]);
    assert_eq!(told(&zone, "web.service.consul.", A).len(), 2);
    assert_eq!(told(&zone, "db.shop.svc.cluster.local.", A).len(), 3);
}
