//! Tests: what reports come to.

use envoy_types::pb::envoy::config::core::v3::Locality;
use envoy_types::pb::envoy::config::endpoint::v3::UpstreamLocalityStats;
use rollcall_catalog::Catalog;

use super::*;
use crate::serve::publisher::Publisher;
use crate::testing::*;

/// Of a catalog with the service shop/payments.
fn loads() -> Loads {
    let (mut publisher, published) = Publisher::new(tokio::sync::watch::channel(None).1, "cluster.local", false);
    publisher.publish(&with(&["payments"]));
    Loads::new("cluster.local", published, None, 8)
}

/// A catalog with these services in the namespace shop.
fn with(services: &[&str]) -> Arc<rollcall_catalog::Snapshot> {
    let mut catalog = Catalog::default();
    services.iter().for_each(|service| catalog.apply(cluster_ip(service)));
    catalog.publish(rollcall_catalog::time::Now::default());
    catalog.snapshot()
}

fn report(cluster: &str, zone: &str, answered: u64) -> LoadStatsRequest {
    let part = UpstreamLocalityStats {
        locality: Some(Locality { zone: zone.to_owned(), ..Locality::default() }),
        total_successful_requests: answered,
        total_error_requests: 1,
        ..UpstreamLocalityStats::default()
    };
    let cluster = ClusterStats {
        cluster_name: cluster.to_owned(),
        upstream_locality_stats: vec![part],
        total_dropped_requests: 2,
        ..ClusterStats::default()
    };
    LoadStatsRequest { node: None, cluster_stats: vec![cluster] }
}

#[test]
fn reports_add_up_by_service_and_zone_whatever_the_cluster_is_called() {
    let loads = loads();
    for cluster in ["payments.shop:http", "canary.payments.shop.svc.cluster.local:http"] {
        loads.take(&report(cluster, "a", 10), &Scope::All);
    }
    loads.take(&report("payments.shop:http", "b", u64::MAX), &Scope::All);
    let tally = |zone: &str| loads.tallies().by_key[&("shop".into(), "payments".into(), zone.into())];
    assert_eq!(tally("a"), Tally { answered: 20, failed: 2, dropped: 0 });
    let (b, dropped) = (tally("b").answered, tally("").dropped);
    assert_eq!((b, dropped), (u64::MAX, 6));
}

#[test]
fn what_its_sender_may_not_see_or_never_was_makes_no_series() {
    let loads = loads();
    let bank = Scope::Namespaces(Arc::new([Arc::from("bank")]));
    loads.take(&report("payments.shop:http", "a", 1), &bank);
    loads.take(&report("nobody.shop:http", "a", 1), &Scope::All);
    loads.take(&report("no name", "a", 1), &Scope::All);
    let nameless = |loads: &Loads| loads.tallies().by_key[&Key::default()];
    let series = loads.tallies().by_key.len();
    assert_eq!((series, nameless(&loads)), (1, Tally { answered: 3, failed: 3, dropped: 6 }));
    for zone in 0..2 * TALLIES_MAX {
        loads.take(&report("payments.shop:http", &zone.to_string(), 1), &Scope::All);
    }
    loads.take(&report("payments.shop:http", &"z".repeat(64), 1), &Scope::All);
    assert_eq!(loads.tallies().by_key.len(), TALLIES_MAX + 1);
    assert!(nameless(&loads).answered > 3);
}

#[test]
fn services_that_are_no_more_give_way_to_new_ones() {
    let mut catalog = Catalog::default();
    let (mut publisher, published) = Publisher::new(tokio::sync::watch::channel(None).1, "cluster.local", false);
    let mut publish = |catalog: &mut Catalog| {
        catalog.publish(rollcall_catalog::time::Now::default());
        publisher.publish(&catalog.snapshot());
    };
    catalog.apply(cluster_ip("old"));
    catalog.apply(cluster_ip("stays"));
    publish(&mut catalog);
    let loads = Loads::new("cluster.local", published, None, 8);
    loads.take(&report("stays.shop:http", "a", 1), &Scope::All);
    for zone in 0..TALLIES_MAX {
        loads.take(&report("old.shop:http", &zone.to_string(), 1), &Scope::All);
    }
    catalog.apply(cluster_ip("new"));
    publish(&mut catalog);
    loads.take(&report("new.shop:http", "a", 1), &Scope::All);
    let of = |service: &str| loads.tallies().by_key.contains_key(&("shop".into(), service.into(), "a".into()));
    assert!(!of("new"), "all that is counted is there");
    catalog.apply(rollcall_catalog::input::Input::Service(service_key("old"), None));
    publish(&mut catalog);
    loads.take(&report("new.shop:http", "a", 1), &Scope::All);
    assert!(of("new") && of("stays"));
    assert!(loads.tallies().by_key.keys().all(|(_, service, _)| &**service != "old"));
}
