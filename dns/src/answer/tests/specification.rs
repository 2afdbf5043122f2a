//! Kubernetes DNS specification 1.1.0, record by record.

use RecordType::{A, AAAA, ANY, CNAME, MX, NS, PTR, SOA, SRV, TXT};

use super::*;

const NO_DATA: &[&str] = &["NOERROR", "ns cluster.local. SOA"];
const NX_DOMAIN: &[&str] = &["NXDOMAIN", "ns cluster.local. SOA"];

#[track_caller]
fn expect(cases: &[(&str, RecordType, &[&str])]) {
    let zone = zone();
    for (name, rtype, expected) in cases {
        assert_eq!(told(&zone, name, *rtype), *expected, "{name} {rtype}");
    }
}

#[test]
fn a_service_with_virtual_addresses_has_them_in_both_families() {
    expect(&[
        ("web.shop.svc.cluster.local.", A, &["NOERROR", "an web.shop.svc.cluster.local. A 10.96.0.1"]),
        ("web.shop.svc.cluster.local.", AAAA, &["NOERROR", "an web.shop.svc.cluster.local. AAAA fd00:96::1"]),
        ("web.shop.svc.cluster.local.", MX, NO_DATA),
        // Its endpoints have no names of their own, unless somebody gave them a hostname.
        ("10-1-0-1.web.shop.svc.cluster.local.", A, NX_DOMAIN),
    ]);
}

#[test]
fn named_ports_of_a_service_are_srv_records_to_its_own_name() {
    expect(&[
        (
            "_http._tcp.web.shop.svc.cluster.local.",
            SRV,
            &[
                "NOERROR",
                "ad web.shop.svc.cluster.local. A 10.96.0.1",
                "ad web.shop.svc.cluster.local. AAAA fd00:96::1",
                "an _http._tcp.web.shop.svc.cluster.local. SRV 0 0 80 web.shop.svc.cluster.local.",
            ],
        ),
        ("_http._tcp.web.shop.svc.cluster.local.", A, NO_DATA),
        ("_http._udp.web.shop.svc.cluster.local.", SRV, NX_DOMAIN),
        ("_pg._tcp.web.shop.svc.cluster.local.", SRV, NX_DOMAIN),
        ("http._tcp.web.shop.svc.cluster.local.", SRV, NX_DOMAIN),
    ]);
}

#[test]
fn a_headless_service_has_its_ready_endpoints_and_each_has_a_name() {
    let db = "db.shop.svc.cluster.local.";
    let expected = ["10.1.0.2", "10.1.0.3", "10.1.0.5"].map(|address| format!("an {db} A {address}"));
    assert_eq!(told(&zone(), db, A), [&["NOERROR".to_owned()][..], &expected].concat());
    expect(&[
        (db, AAAA, &["NOERROR", "an db.shop.svc.cluster.local. AAAA fd00::3"]),
        ("db-0.db.shop.svc.cluster.local.", A, &["NOERROR", "an db-0.db.shop.svc.cluster.local. A 10.1.0.2"]),
        ("db-0.db.shop.svc.cluster.local.", AAAA, NO_DATA),
        ("10-1-0-3.db.shop.svc.cluster.local.", A, &["NOERROR", "an 10-1-0-3.db.shop.svc.cluster.local. A 10.1.0.3"]),
        (
            "fd00--3.db.shop.svc.cluster.local.",
            AAAA,
            &["NOERROR", "an fd00--3.db.shop.svc.cluster.local. AAAA fd00::3"],
        ),
        // A hostname goes before the address, an impossible one does not.
        ("10-1-0-2.db.shop.svc.cluster.local.", A, NX_DOMAIN),
        ("10-1-0-5.db.shop.svc.cluster.local.", A, &["NOERROR", "an 10-1-0-5.db.shop.svc.cluster.local. A 10.1.0.5"]),
        ("no.label.db.shop.svc.cluster.local.", A, NX_DOMAIN),
        ("db-5.db.shop.svc.cluster.local.", A, NX_DOMAIN),
    ]);
}

#[test]
fn named_ports_of_endpoints_are_srv_records_with_their_own_numbers_and_weights() {
    expect(&[
        (
            "_pg._tcp.db.shop.svc.cluster.local.",
            SRV,
            &[
                "NOERROR",
                "ad 10-1-0-3.db.shop.svc.cluster.local. A 10.1.0.3",
                "ad db-0.db.shop.svc.cluster.local. A 10.1.0.2",
                "ad fd00--3.db.shop.svc.cluster.local. AAAA fd00::3",
                "an _pg._tcp.db.shop.svc.cluster.local. SRV 0 1 5434 fd00--3.db.shop.svc.cluster.local.",
                "an _pg._tcp.db.shop.svc.cluster.local. SRV 0 10 5432 db-0.db.shop.svc.cluster.local.",
                "an _pg._tcp.db.shop.svc.cluster.local. SRV 0 20 5433 10-1-0-3.db.shop.svc.cluster.local.",
            ],
        ),
        // Only an endpoint that is not ready has this port.
        ("_admin._tcp.db.shop.svc.cluster.local.", SRV, NX_DOMAIN),
    ]);
}

/// Beyond the specification, as CoreDNS.
#[test]
fn the_name_of_a_service_or_endpoint_has_all_its_ports() {
    let web = "web.shop.svc.cluster.local.";
    expect(&[
        (
            web,
            SRV,
            &[
                "NOERROR",
                "ad web.shop.svc.cluster.local. A 10.96.0.1",
                "ad web.shop.svc.cluster.local. AAAA fd00:96::1",
                "an web.shop.svc.cluster.local. SRV 0 0 80 web.shop.svc.cluster.local.",
                "an web.shop.svc.cluster.local. SRV 0 0 9090 web.shop.svc.cluster.local.",
            ],
        ),
        (
            "db.shop.svc.cluster.local.",
            SRV,
            &[
                "NOERROR",
                "ad 10-1-0-3.db.shop.svc.cluster.local. A 10.1.0.3",
                "ad db-0.db.shop.svc.cluster.local. A 10.1.0.2",
                "ad fd00--3.db.shop.svc.cluster.local. AAAA fd00::3",
                "an db.shop.svc.cluster.local. SRV 0 1 5434 fd00--3.db.shop.svc.cluster.local.",
                "an db.shop.svc.cluster.local. SRV 0 10 5432 db-0.db.shop.svc.cluster.local.",
                "an db.shop.svc.cluster.local. SRV 0 20 5433 10-1-0-3.db.shop.svc.cluster.local.",
            ],
        ),
        (
            "db-0.db.shop.svc.cluster.local.",
            SRV,
            &[
                "NOERROR",
                "ad db-0.db.shop.svc.cluster.local. A 10.1.0.2",
                "an db-0.db.shop.svc.cluster.local. SRV 0 10 5432 db-0.db.shop.svc.cluster.local.",
            ],
        ),
        // Without ports there is nothing to say.
        ("early.shop.svc.cluster.local.", SRV, NO_DATA),
        ("empty.shop.svc.cluster.local.", SRV, NX_DOMAIN),
        ("away.shop.svc.cluster.local.", SRV, &["NOERROR", "an away.shop.svc.cluster.local. CNAME api.example.com."]),
    ]);
}

/// Beyond the specification.
#[test]
fn what_its_owner_says_about_an_endpoint_is_txt_at_its_own_name() {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    let texts = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect();
    let said =
        |id, hostname, address, all: &[&str]| Endpoint { texts: texts(all), ..endpoint(id, hostname, address, &[]) };
    let all = vec![
        said(1, "vm-1", "10.1.0.1", &["tag=canary", "version=1.2"]),
        said(2, "vm-1", "10.1.0.2", &["tag=canary", "version=1.2"]),
        said(3, "vm-2", "10.1.0.3", &[]),
    ];
    writer.apply([service("a/b", headless()), bucket("a/b", 1, 0, all)], 1);
    writer.sync("cluster.local", 1).unwrap();
    let zone = writer.zone();
    let expected = ["NOERROR", "an vm-1.b.a.svc.cluster.local. TXT tag=canaryversion=1.2"];
    assert_eq!(told(zone, "vm-1.b.a.svc.cluster.local.", TXT), expected);
    for name in ["vm-2.b.a.svc.cluster.local.", "b.a.svc.cluster.local."] {
        assert_eq!(told(zone, name, TXT), NO_DATA, "{name}");
    }
}

#[test]
fn a_port_without_a_name_is_told_at_the_name_of_its_service_alone() {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    writer.apply(
        [service("a/b", headless()), bucket("a/b", 1, 0, vec![endpoint(1, "b-0", "10.1.0.1", &[("", 6379)])])],
        1,
    );
    writer.sync("cluster.local", 1).unwrap();
    let zone = writer.zone();
    let expected = "an b.a.svc.cluster.local. SRV 0 1 6379 b-0.b.a.svc.cluster.local.";
    assert!(told(zone, "b.a.svc.cluster.local.", SRV).iter().any(|line| line == expected));
    for name in ["_tcp.b.a.svc.cluster.local.", "_._tcp.b.a.svc.cluster.local."] {
        assert_eq!(told(zone, name, SRV), NX_DOMAIN, "{name}");
    }
}

#[test]
fn a_headless_service_without_ready_endpoints_does_not_exist_unless_it_publishes_them() {
    expect(&[
        ("empty.shop.svc.cluster.local.", A, NX_DOMAIN),
        ("empty.shop.svc.cluster.local.", TXT, NX_DOMAIN),
        ("_tcp.empty.shop.svc.cluster.local.", A, NX_DOMAIN),
        ("early.shop.svc.cluster.local.", A, &["NOERROR", "an early.shop.svc.cluster.local. A 10.1.0.7"]),
        ("e-0.early.shop.svc.cluster.local.", A, &["NOERROR", "an e-0.early.shop.svc.cluster.local. A 10.1.0.7"]),
    ]);
}

#[test]
fn an_external_name_is_a_cname_followed_as_far_as_the_zone_reaches() {
    let alias = "an inside.shop.svc.cluster.local. CNAME db.shop.svc.cluster.local.";
    expect(&[
        ("away.shop.svc.cluster.local.", A, &["NOERROR", "an away.shop.svc.cluster.local. CNAME api.example.com."]),
        ("inside.shop.svc.cluster.local.", CNAME, &["NOERROR", alias]),
        ("inside.shop.svc.cluster.local.", AAAA, &["NOERROR", "an db.shop.svc.cluster.local. AAAA fd00::3", alias]),
        // The alias exists; what it stands for has no such data, or is missing (RFC 6604).
        ("inside.shop.svc.cluster.local.", TXT, &["NOERROR", alias, "ns cluster.local. SOA"]),
        (
            "dangling.shop.svc.cluster.local.",
            A,
            &[
                "NXDOMAIN",
                "an dangling.shop.svc.cluster.local. CNAME nobody.shop.svc.cluster.local.",
                "ns cluster.local. SOA",
            ],
        ),
        (
            "loop.shop.svc.cluster.local.",
            A,
            &["NOERROR", "an loop.shop.svc.cluster.local. CNAME loop.shop.svc.cluster.local."],
        ),
        ("x.away.shop.svc.cluster.local.", A, NX_DOMAIN),
    ]);
}

#[test]
fn addresses_lead_back_to_names() {
    let db_3 = "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.";
    let (v4_none, v4_gone): (&[&str], &[&str]) =
        (&["NOERROR", "ns in-addr.arpa. SOA"], &["NXDOMAIN", "ns in-addr.arpa. SOA"]);
    expect(&[
        ("1.0.96.10.in-addr.arpa.", PTR, &["NOERROR", "an 1.0.96.10.in-addr.arpa. PTR web.shop.svc.cluster.local."]),
        ("2.0.1.10.in-addr.arpa.", PTR, &["NOERROR", "an 2.0.1.10.in-addr.arpa. PTR db-0.db.shop.svc.cluster.local."]),
        (db_3, PTR, &["NOERROR", &format!("an {db_3} PTR fd00--3.db.shop.svc.cluster.local.")]),
        // The pod of a service with a virtual address, one that is not ready, one that nobody knows.
        ("1.0.1.10.in-addr.arpa.", PTR, v4_gone),
        ("6.0.1.10.in-addr.arpa.", PTR, v4_gone),
        ("9.9.9.9.in-addr.arpa.", PTR, v4_gone),
        ("1.0.96.10.in-addr.arpa.", A, v4_none),
        ("0.96.10.in-addr.arpa.", PTR, v4_none),
        ("in-addr.arpa.", PTR, v4_none),
        ("x.in-addr.arpa.", PTR, v4_gone),
        (
            "ip6.arpa.",
            NS,
            &["NOERROR", "ad ns.dns.cluster.local. A 10.96.0.10", "an ip6.arpa. NS ns.dns.cluster.local."],
        ),
    ]);
}

#[test]
fn names_between_others_exist_without_data() {
    expect(&[
        ("svc.cluster.local.", A, NO_DATA),
        ("shop.svc.cluster.local.", A, NO_DATA),
        ("_tcp.web.shop.svc.cluster.local.", SRV, NO_DATA),
        ("_tcp.db.shop.svc.cluster.local.", A, NO_DATA),
        ("_udp.db.shop.svc.cluster.local.", A, NX_DOMAIN),
        ("dns.cluster.local.", A, NO_DATA),
        ("nobody.svc.cluster.local.", A, NX_DOMAIN),
        ("nobody.shop.svc.cluster.local.", A, NX_DOMAIN),
        ("web.nobody.svc.cluster.local.", A, NX_DOMAIN),
        ("cluster.local.cluster.local.", A, NX_DOMAIN),
        ("google.com.svc.cluster.local.", A, NX_DOMAIN),
    ]);
}

#[test]
fn the_zone_has_a_version_an_soa_and_a_name_server_that_answers_for_itself() {
    let soa = "an cluster.local. SOA ns.dns.cluster.local. hostmaster.cluster.local. 1700000000 7200 1800 86400 5";
    expect(&[
        ("dns-version.cluster.local.", TXT, &["NOERROR", "an dns-version.cluster.local. TXT 1.1.0"]),
        ("dns-version.cluster.local.", A, NO_DATA),
        ("cluster.local.", SOA, &["NOERROR", soa]),
        (
            "cluster.local.",
            NS,
            &["NOERROR", "ad ns.dns.cluster.local. A 10.96.0.10", "an cluster.local. NS ns.dns.cluster.local."],
        ),
        ("cluster.local.", A, NO_DATA),
        ("ns.dns.cluster.local.", A, &["NOERROR", "an ns.dns.cluster.local. A 10.96.0.10"]),
        ("ns.dns.cluster.local.", AAAA, NO_DATA),
    ]);
}

#[test]
fn names_of_others_are_refused_and_any_is_answered_with_little() {
    expect(&[
        ("example.com.", A, &["REFUSED"]),
        ("local.", A, &["REFUSED"]),
        ("xcluster.local.", A, &["REFUSED"]),
        (".", NS, &["REFUSED"]),
        ("db.shop.svc.cluster.local.", ANY, &["NOERROR", "an db.shop.svc.cluster.local. HINFO RFC8482 "]),
        ("nobody.shop.svc.cluster.local.", ANY, NX_DOMAIN),
        ("svc.cluster.local.", ANY, NO_DATA),
    ]);
}

#[test]
fn names_compare_without_case_and_answers_keep_the_case_of_the_question() {
    let name = "DB-0.Db.SHOP.svc.Cluster.LOCAL.";
    let response = ask(&zone(), &query(name, A), Transport::Udp);
    assert_eq!(response.queries[0].name().to_ascii(), name);
    assert_eq!(response.answers[0].name.to_ascii(), name);
    let response = ask(&zone(), &query("2.0.1.10.IN-ADDR.arpa.", PTR), Transport::Udp);
    assert_eq!(response.answers[0].data.to_string(), "db-0.db.shop.svc.cluster.local.");
}
