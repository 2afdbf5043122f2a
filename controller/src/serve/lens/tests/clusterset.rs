//! Tests: what clusters export under one name, as clients ask for it.

use rollcall_catalog::clusterset::{SERVICE_NAME_LABEL, derived};
use rollcall_catalog::input::{Contribution, Origin, OriginKind, Place, ServiceFacts};
use rollcall_catalog::model::{Endpoint, Health, HealthSource};

use super::*;

/// What a cluster exports of shop/payments: one endpoint in zone a.
fn exported(cluster: &str, ip: &str, own: bool, suspect_since_ms: Option<i64>) -> Input {
    let key = derived(&service_key("payments"));
    let health_source = HealthSource::Imported { health: Health::Passing, suspect_since_ms, own };
    let endpoint = offered(ip, ip, health_source).with(|described| described.zone = Some("a".into()));
    let origin = Origin {
        kind: OriginKind::Import,
        place: Place::Cluster(cluster.into()),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    };
    let endpoints = [Arc::new(endpoint)].into();
    Input::Contribution(Contribution {
        ports: ports(&[("http", 8080)]),
        endpoints,
        ..Contribution::new(Arc::new(origin), key)
    })
}

/// What that cluster exports from a region.
fn exported_from(region: &str, cluster: &str, ip: &str) -> Input {
    let Input::Contribution(said) = exported(cluster, ip, false, None) else { panic!("a contribution") };
    let there = |endpoint: &Arc<Endpoint>| Arc::new(endpoint.with(|described| described.region = Some(region.into())));
    Input::Contribution(Contribution { endpoints: said.endpoints.iter().map(there).collect(), ..said })
}

/// What the derived Service has.
fn derived_facts() -> Input {
    let labels = [(SERVICE_NAME_LABEL.into(), "payments".into())];
    let facts = ServiceFacts { labels: labels.into(), ..facts() };
    Input::Service(derived(&service_key("payments")), Some(Arc::new(facts)))
}

/// West, which is linked to east and to a silent north.
fn west(zone: &str) -> View {
    let inputs = vec![
        derived_facts(),
        exported("west", "10.2.0.4", true, None),
        exported("east", "10.1.0.4", false, None),
        exported("north", "10.3.0.4", false, Some(1)),
    ];
    let locality = Some(Locality { zone: zone.to_owned(), ..Locality::default() });
    seen(inputs, &Node { locality, ..Node::default() }, Serves::Catalog)
}

/// `PRIORITY CLUSTER` of each locality.
fn told(view: &View, name: &str) -> Vec<String> {
    let assignment: ClusterLoadAssignment = get(view, ResourceType::Endpoints, name);
    assert_eq!(assignment.cluster_name, name);
    let part = |part: &envoy_types::pb::envoy::config::endpoint::v3::LocalityLbEndpoints| {
        assert_eq!(part.lb_endpoints.len(), 1, "{part:?}");
        let place = part.locality.as_ref().expect("a locality");
        format!("{} {}", part.priority, place.sub_zone)
    };
    assignment.endpoints.iter().map(part).collect()
}

#[test]
fn own_comes_before_other_clusters_and_silent_ones_after_all() {
    for zone in ["", "a", "b"] {
        let view = west(zone);
        assert_eq!(told(&view, "payments.shop.clusterset:http"), ["0 west", "1 east", "2 north"], "from {zone:?}");
        for (cluster, ours) in [("west", vec!["0 west"]), ("east", vec!["0 east"]), ("north", vec!["0 north"])] {
            assert_eq!(told(&view, &format!("payments.shop.{cluster}.clusterset:http")), ours, "from {zone:?}");
        }
        assert!(told(&view, "payments.shop.south.clusterset:http").is_empty());
    }
}

#[test]
fn of_other_clusters_those_of_the_own_region_come_first() {
    for (region, expected) in [
        ("eu", ["0 west", "1 north", "2 east"]),
        ("us", ["0 west", "1 east", "2 north"]),
        ("", ["0 west", "1 north", "1 east"]),
    ] {
        let inputs = vec![
            derived_facts(),
            exported("west", "10.2.0.4", true, None),
            exported_from("us", "east", "10.1.0.4"),
            exported_from("eu", "north", "10.3.0.4"),
        ];
        let locality = Some(Locality { region: region.to_owned(), zone: "z".to_owned() });
        let view = seen(inputs, &Node { locality, ..Node::default() }, Serves::Catalog);
        assert_eq!(told(&view, "payments.shop.clusterset:http"), expected, "from {region:?}");
    }
}

#[test]
fn a_target_of_the_clusterset_has_all_that_a_grpc_client_asks_for() {
    let view = west("a");
    for (name, cluster) in [
        ("payments.shop.clusterset:http", "payments.shop.clusterset:http"),
        ("payments.shop.clusterset:80", "payments.shop.clusterset:http"),
        ("payments.shop.svc.clusterset.local", "payments.shop.clusterset:http"),
        ("payments.shop.east.clusterset", "payments.shop.east.clusterset:http"),
    ] {
        get::<Listener>(&view, ResourceType::Listener, name);
        let routes: RouteConfiguration = get(&view, ResourceType::Route, name);
        assert!(format!("{routes:?}").contains(&format!("Cluster({cluster:?})")), "{routes:?}");
        let found: Cluster = get(&view, ResourceType::Cluster, cluster);
        assert_eq!(found.name, cluster);
        let subject = view.subject(ResourceType::Service, &derived(&service_key("payments")).to_string());
        assert_eq!(view.follows(ResourceType::Endpoints, cluster), subject, "{cluster}");
    }
    let words = view.why_absent(ResourceType::Listener, "nothing.shop.clusterset:http");
    assert!(words.starts_with("no cluster that this one is linked to exports shop/nothing"), "{words}");
    let words = view.why_absent(ResourceType::Listener, "payments.shop.clusterset:grpc");
    assert!(words.starts_with("service shop/payments has no such TCP port; it has http"), "{words}");
}
