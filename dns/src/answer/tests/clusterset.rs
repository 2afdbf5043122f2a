//! Names across clusters, by the multicluster DNS specification 1.0.0.

use RecordType::{A, AAAA, SRV, TXT};
use rollcall_catalog::clusterset::derived_name;

use super::*;
use crate::zone::Registry;
use crate::zone::model::Place;

fn across(host: &str, cluster: &str, endpoint: Endpoint) -> Endpoint {
    let place = Arc::new(Place { cluster: cluster.into(), ..Place::clone(&endpoint.place) });
    Endpoint { label: format!("{host}.{cluster}").into(), has_hostname: false, place, ..endpoint }
}

fn tagged(tag: &str, endpoint: Endpoint) -> Endpoint {
    Endpoint { texts: [format!("tag={tag}").into()].into(), ..endpoint }
}

/// A service of two clusters with addresses of its own, a headless one, and local ones of the same names.
fn zone() -> Arc<Zone> {
    let registry = Registry {
        domains: vec![Name::from_ascii("rollcall.").unwrap()],
        namespace: "shop".into(),
        datacenter: "here".into(),
        ..Registry::default()
    };
    let mut writer = ZoneWriter::new(Settings { ttl: 5, registry, ..Settings::default() });
    let (pay, db, none) = (
        format!("shop/{}", derived_name("shop", "payments")),
        format!("shop/{}", derived_name("shop", "db")),
        format!("shop/{}", derived_name("shop", "none")),
    );
    let one =
        |id: u64, host: &str, cluster: &str, ip: &str| across(host, cluster, endpoint(id, "", ip, &[("pg", 5432)]));
    let changes = [
        service("shop/payments", cluster_ip(&["10.96.0.9"], &[("http", 80)])),
        service("shop/secret", cluster_ip(&["10.96.0.10"], &[("http", 80)])),
        service(&pay, cluster_ip(&["10.96.7.7", "fd00:96::7"], &[("http", 80), ("", 81)])),
        service(&db, headless()),
        bucket(
            &db,
            1,
            0,
            vec![
                one(1, "db-0", "east", "10.1.0.2"),
                one(2, "db-0", "west", "10.2.0.2"),
                one(3, "10-2-0-3", "west", "10.2.0.3"),
                not_ready(one(4, "db-9", "south", "10.3.0.9")),
            ],
        ),
        bucket(
            &pay,
            1,
            0,
            vec![
                one(6, "10-1-0-6", "east", "10.1.0.6"),
                one(7, "10-2-0-7", "west", "10.2.0.7"),
                tagged("canary", one(8, "10-2-0-8", "west", "10.2.0.8")),
                not_ready(one(9, "10-2-0-9", "west", "10.2.0.9")),
            ],
        ),
        service(&none, headless()),
        bucket(&none, 1, 0, vec![not_ready(one(5, "a", "east", "10.1.0.9"))]),
    ];
    writer.apply(changes, 7);
    writer.sync_across("cluster.local", "clusterset.local", 7).unwrap();
    Arc::clone(writer.zone())
}

#[test]
fn a_service_of_several_clusters_has_its_addresses_and_ports() {
    let zone = zone();
    let name = "payments.shop.svc.clusterset.local.";
    assert_eq!(told(&zone, name, A), ["NOERROR", &format!("an {name} A 10.96.7.7")]);
    assert_eq!(told(&zone, name, AAAA), ["NOERROR", &format!("an {name} AAAA fd00:96::7")]);
    let port = format!("_http._tcp.{name}");
    let said = told(&zone, &port, SRV);
    assert!(said.contains(&format!("an {port} SRV 0 0 80 {name}")), "{said:?}");
    // The cluster's own name stays what it was.
    let own = "payments.shop.svc.cluster.local.";
    assert_eq!(told(&zone, own, A), ["NOERROR", &format!("an {own} A 10.96.0.9")]);
}

#[test]
fn a_headless_one_names_endpoints_by_host_and_cluster() {
    let zone = zone();
    let name = "db.shop.svc.clusterset.local.";
    let mut said = told(&zone, name, A);
    said.sort();
    let expected: Vec<_> = ["10.1.0.2", "10.2.0.2", "10.2.0.3"].map(|ip| format!("an {name} A {ip}")).into();
    assert_eq!(said[1..], expected);
    for (label, ip) in [("db-0.east", "10.1.0.2"), ("DB-0.west", "10.2.0.2"), ("10-2-0-3.west", "10.2.0.3")] {
        let owner = format!("{label}.{name}");
        assert_eq!(told(&zone, &owner, A), ["NOERROR", &format!("an {owner} A {ip}")]);
    }
    let port = format!("_pg._tcp.{name}");
    let said = told(&zone, &port, SRV);
    for target in ["db-0.east", "db-0.west", "10-2-0-3.west"] {
        assert!(said.contains(&format!("an {port} SRV 0 1 5432 {target}.{name}")), "{said:?}");
    }
}

#[test]
fn the_version_is_told_and_what_must_not_exist_does_not() {
    let zone = zone();
    let said = told(&zone, "dns-version.clusterset.local.", TXT);
    assert!(said[1].contains("1.0.0"), "{said:?}");
    for name in [
        "secret.shop.svc.clusterset.local.",
        "none.shop.svc.clusterset.local.",
        "db-9.south.db.shop.svc.clusterset.local.",
        "south.db.shop.svc.clusterset.local.",
        "db-0.payments.shop.svc.clusterset.local.",
        "east.payments.shop.svc.clusterset.local.",
        "_smtp._tcp.payments.shop.svc.clusterset.local.",
        "10-1-0-2.shop.pod.clusterset.local.",
        "payments.elsewhere.svc.clusterset.local.",
    ] {
        assert_eq!(told(&zone, name, A)[0], "NXDOMAIN", "{name}");
    }
    // A cluster's name has no data, and is not missing: below it there are names.
    for name in ["east.db.shop.svc.clusterset.local.", "shop.svc.clusterset.local.", "svc.clusterset.local."] {
        let said = told(&zone, name, A);
        assert_eq!((&*said[0], said.iter().any(|line| line.starts_with("an"))), ("NOERROR", false), "{said:?}");
    }
}

#[test]
fn without_a_clusterset_its_domain_is_none_of_ours() {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    writer.sync("cluster.local", 7).unwrap();
    assert_eq!(told(writer.zone(), "payments.shop.svc.clusterset.local.", A)[0], "REFUSED");
}

#[test]
fn what_one_cluster_exports_is_found_by_it_as_a_datacenter() {
    let zone = zone();
    for (name, addresses) in [
        ("payments.service.east", &["10.1.0.6"][..]),
        ("payments.service.west", &["10.2.0.7", "10.2.0.8"]),
        ("payments.service.shop.ns.WEST.dc", &["10.2.0.7", "10.2.0.8"]),
        ("canary.payments.service.west", &["10.2.0.8"]),
        ("db.service.west", &["10.2.0.2", "10.2.0.3"]),
        ("payments.service.here", &["10.96.0.9"]),
        ("payments.service", &["10.96.0.9"]),
    ] {
        let name = format!("{name}.rollcall.");
        assert_eq!(told(&zone, &name, A), leads_to(&name, addresses), "{name}");
    }
    // What it does not export, or nobody does; a cluster that exports nothing that is ready; machines of others.
    for name in [
        "secret.service.east",
        "payments.service.elsewhere.ns.east.dc",
        "canary.payments.service.east",
        "payments.service.north",
        "db.service.south",
        "n1.node.east",
    ] {
        assert_eq!(told(&zone, &format!("{name}.rollcall."), A)[0], "NXDOMAIN", "{name}");
    }
    for name in ["east", "service.west", "west.dc"] {
        assert_eq!(told(&zone, &format!("{name}.rollcall."), A)[0], "NOERROR", "{name}");
    }
    // SRV leads to a name that is there, as are those above it.
    let below = format!("{}.shop.svc.cluster.local.", derived_name("shop", "payments"));
    let (name, target) = ("_payments._tcp.east.rollcall.", format!("10-1-0-6.east.{below}"));
    let said = told(&zone, name, SRV);
    assert_eq!(said[1..], [format!("ad {target} A 10.1.0.6"), format!("an {name} SRV 0 1 5432 {target}")]);
    assert_eq!(told(&zone, &target, A), ["NOERROR", &format!("an {target} A 10.1.0.6")]);
    assert_eq!(told(&zone, &format!("east.{below}"), A)[0], "NOERROR");
    assert_eq!(told(&zone, &format!("north.{below}"), A)[0], "NXDOMAIN");
}
