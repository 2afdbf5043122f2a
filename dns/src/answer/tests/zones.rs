//! Several zones, each with its own reading.

use RecordType::{A, NS, PTR, SOA, SRV};

use super::*;
use crate::zone::apex::Apex;
use crate::zone::apexes::Apexes;
use crate::zone::reading::Reading;

/// The same names below `cluster.local`, and below a domain within a domain of it.
fn two_domains() -> Arc<Zone> {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    let web = cluster_ip(&["10.96.0.1"], &[("http", 80)]);
    writer.apply([service("shop/web", web)], 7);
    let mut apexes = Apexes::of_cluster("cluster.local").unwrap();
    apexes.add(Apex::new("old.cluster.local.", Reading::Cluster).unwrap());
    writer.serve(apexes, 7);
    Arc::clone(writer.zone())
}

#[test]
fn a_name_belongs_to_the_longest_apex_and_its_answers_stay_below_it() {
    let zone = two_domains();
    for domain in ["cluster.local.", "old.cluster.local."] {
        let web = format!("web.shop.svc.{domain}");
        assert_eq!(told(&zone, &web, A), ["NOERROR".to_owned(), format!("an {web} A 10.96.0.1")]);
        let port = format!("_http._tcp.{web}");
        let expected = ["NOERROR".to_owned(), format!("ad {web} A 10.96.0.1"), format!("an {port} SRV 0 0 80 {web}")];
        assert_eq!(told(&zone, &port, SRV), expected);
        assert_eq!(told(&zone, &format!("nobody.shop.svc.{domain}"), A)[1], format!("ns {domain} SOA"));
        assert_eq!(told(&zone, domain, NS)[1], format!("an {domain} NS ns.dns.{domain}"));
    }
    // An address has one name, below the primary domain.
    let reverse = "1.0.96.10.in-addr.arpa.";
    assert_eq!(told(&zone, reverse, PTR), ["NOERROR", &format!("an {reverse} PTR web.shop.svc.cluster.local.")]);
}

#[test]
fn a_name_of_an_asterisk_is_one_below_the_apex() {
    let zone = two_domains();
    for name in
        ["*.cluster.local.", "*.svc.cluster.local.", "*.shop.svc.cluster.local.", "*.web.shop.svc.cluster.local."]
    {
        for rtype in [A, SOA, NS] {
            assert_eq!(told(&zone, name, rtype), ["NXDOMAIN", "ns cluster.local. SOA"], "{name} {rtype}");
        }
    }
    assert_eq!(told(&zone, "*.in-addr.arpa.", SOA), ["NXDOMAIN", "ns in-addr.arpa. SOA"]);
}

#[test]
fn each_tree_has_one_soa() {
    let zone = two_domains();
    for name in ["cluster.local.", "in-addr.arpa.", "ip6.arpa."] {
        let response = ask(&zone, &query(name, SOA), Transport::Udp);
        assert_eq!((response.answers.len(), response.authorities.len()), (1, 0), "{name}");
    }
}

/// A headless service in two zones, across clusters as well, and one with a virtual address.
fn in_two_zones() -> Arc<Zone> {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    let across = format!("shop/{}", rollcall_catalog::clusterset::derived_name("shop", "db"));
    let ports = [("pg", 5432)];
    let all = |label: &str| {
        let one = |id: u64, zone: &str, address: &str| {
            let endpoint = in_zone(zone, endpoint(id, "", address, &ports));
            Endpoint { label: format!("{}{label}", endpoint.label).into(), ..endpoint }
        };
        vec![one(1, "eu-1", "10.1.0.1"), one(2, "eu-1", "10.1.0.2"), one(3, "eu.2", "10.1.0.3"), one(4, "", "10.1.0.4")]
    };
    let changes = [
        service("shop/db", headless()),
        bucket("shop/db", 1, 0, all("")),
        service(&across, headless()),
        bucket(&across, 1, 0, all(".east")),
        service("shop/web", cluster_ip(&["10.96.0.1"], &ports)),
        bucket("shop/web", 1, 0, vec![in_zone("eu-1", endpoint(5, "", "10.1.0.5", &ports))]),
    ];
    writer.apply(changes, 7);
    writer.sync_across("cluster.local", "clusterset.local", 7).unwrap();
    Arc::clone(writer.zone())
}

#[test]
fn the_endpoints_of_a_zone_have_names_as_coredns_gives_them() {
    let zone = in_two_zones();
    for domain in ["cluster.local.", "clusterset.local."] {
        for (below, addresses) in [
            ("eu-1.pin", &["10.1.0.1", "10.1.0.2"][..]),
            ("EU-1.prefer", &["10.1.0.1", "10.1.0.2"]),
            ("eu.2.pin", &["10.1.0.3"]),
            ("nowhere.pin", &[]),
            ("nowhere.prefer", &["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"]),
            ("pin", &[]),
        ] {
            let name = format!("{below}._zone.db.shop.svc.{domain}");
            let mut expected = leads_to(&name, addresses);
            if addresses.is_empty() {
                expected.push(format!("ns {domain} SOA"));
            }
            assert_eq!(told(&zone, &name, A), expected, "{name}");
        }
        let name = format!("eu.2.pin._zone.db.shop.svc.{domain}");
        let label = if domain == "cluster.local." { "10-1-0-3" } else { "10-1-0-3.east" };
        let target = format!("{label}.db.shop.svc.{domain}");
        let expected = ["NOERROR", &format!("ad {target} A 10.1.0.3"), &format!("an {name} SRV 0 1 5432 {target}")];
        assert_eq!(told(&zone, &name, SRV), expected);
        for name in ["eu-1.other._zone.db", "eu-1.pin._zone.nobody"] {
            assert_eq!(told(&zone, &format!("{name}.shop.svc.{domain}"), A)[0], "NXDOMAIN", "{name}");
        }
    }
    assert_eq!(told(&zone, "eu-1.pin._zone.web.shop.svc.cluster.local.", A)[0], "NXDOMAIN");
}
