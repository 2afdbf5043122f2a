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
