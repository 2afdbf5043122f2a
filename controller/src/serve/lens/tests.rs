//! Tests: what a stream sees of the catalog.

use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use prost::Message;
use rollcall_catalog::Catalog;
use rollcall_catalog::input::{Input, ServiceFacts};
use rollcall_catalog::model::Attributes;
use rollcall_xds::proto::discovery::{Locality, Node};
use rollcall_xds::view::{Client, Resources, View, Views};

use super::*;
use crate::serve::envoy::reach::Reach;
use crate::serve::publisher::Publisher;
use crate::testing::*;

mod clusterset;

/// What a client sees of a catalog.
fn seen(inputs: Vec<Input>, node: &Node, serves: Serves) -> View {
    let (_sender, snapshots) = tokio::sync::watch::channel(None);
    let (mut publisher, receiver) = Publisher::new(snapshots, "cluster.local", false);
    let mut catalog = Catalog::default();
    inputs.into_iter().for_each(|input| catalog.apply(input));
    catalog.publish(rollcall_catalog::time::Now::default());
    publisher.publish(&catalog.snapshot());
    let snapshot = receiver.borrow().clone().expect("published");
    let client = Client { node, may_see: &view::Scope::All, variant: Variant::Delta, serves };
    Views::through(Arc::new(Lens::new("cluster.local"))).of(&client, snapshot)
}

/// Service shop/payments with the TCP port http, and two machines of which one is tagged.
fn payments(node: &Node) -> View {
    let mut canary = (*vm("vm-2", "198.51.100.2")).clone();
    canary.attributes = Attributes { tags: vec!["canary".into()], ..Attributes::default() }.into();
    let canary = Arc::new(canary);
    let machines = registered("payments", vec![vm("vm-1", "198.51.100.1"), canary]);
    seen(vec![cluster_ip("payments"), machines], node, Serves::Catalog)
}

fn get<M: Message + Default>(view: &View, ty: ResourceType, name: &str) -> M {
    let resource = view.get(ty, name).unwrap_or_else(|| panic!("no {ty} {name}"));
    assert_eq!(&*resource.name, name);
    M::decode(resource.body()).expect("of that type")
}

fn addresses(assignment: &ClusterLoadAssignment) -> usize {
    assignment.endpoints.iter().map(|part| part.lb_endpoints.len()).sum()
}

#[test]
fn a_target_has_all_that_a_grpc_client_asks_for() {
    let view = payments(&Node::default());
    for (name, cluster, count) in [
        ("payments.shop:http", "payments.shop:http", 2),
        ("payments.shop", "payments.shop:http", 2),
        ("payments.shop.svc.cluster.local:http", "payments.shop:http", 2),
        ("canary.payments.shop:http", "canary.payments.shop:http", 1),
        ("other.payments.shop", "other.payments.shop:http", 0),
    ] {
        let listener: Listener = get(&view, ResourceType::Listener, name);
        assert!(listener.api_listener.is_some() && listener.address.is_none(), "{listener:?}");
        let routes: RouteConfiguration = get(&view, ResourceType::Route, name);
        assert_eq!(routes.virtual_hosts[0].domains, ["*"]);
        assert!(format!("{routes:?}").contains(&format!("Cluster({cluster:?})")), "{routes:?}");
        let found: Cluster = get(&view, ResourceType::Cluster, cluster);
        assert_eq!((&*found.name, &*found.eds_cluster_config.expect("by EDS").service_name), (cluster, ""));
        let assignment: ClusterLoadAssignment = get(&view, ResourceType::Endpoints, cluster);
        assert_eq!((&*assignment.cluster_name, addresses(&assignment)), (cluster, count), "{name}");
        assert!(
            assignment.endpoints.iter().all(|part| part.load_balancing_weight.is_some_and(|w| w.value == count as u32))
        );
    }
}

#[test]
fn an_authority_stays_with_all_that_follows() {
    let view = payments(&Node::default());
    let name = |ty: &str| format!("xdstp://mesh/envoy.config.{ty}/payments.shop:http");
    let listener = get::<Listener>(&view, ResourceType::Listener, &name("listener.v3.Listener"));
    let manager = listener.api_listener.and_then(|api| api.api_listener).expect("a manager").value;
    let routes = name("route.v3.RouteConfiguration");
    assert!(String::from_utf8_lossy(&manager).contains(&routes));
    let routes: RouteConfiguration = get(&view, ResourceType::Route, &routes);
    let cluster = name("cluster.v3.Cluster");
    assert!(format!("{routes:?}").contains(&cluster));
    let endpoints = name("endpoint.v3.ClusterLoadAssignment");
    let eds = get::<Cluster>(&view, ResourceType::Cluster, &cluster).eds_cluster_config.expect("by EDS");
    assert_eq!(eds.service_name, endpoints, "clients of an authority insist on it");
    assert_eq!(addresses(&get(&view, ResourceType::Endpoints, &endpoints)), 2);
}

#[test]
fn what_is_not_there_is_explained() {
    let view = payments(&Node::default());
    for (name, why) in [
        ("payments", "payments is no name of a service; that is NAME.NAMESPACE:PORT"),
        ("none.shop:http", "there is no service shop/none"),
        ("payments.shop:grpc", "service shop/payments has no such TCP port; it has http"),
    ] {
        assert!(view.get(ResourceType::Listener, name).is_none(), "{name}");
        let words = view.why_absent(ResourceType::Listener, name);
        assert!(words.starts_with(why), "{words}");
    }
}

#[test]
fn names_follow_what_they_are_made_of() {
    let view = payments(&Node::default());
    let subject = view.subject(ResourceType::Service, "shop/payments");
    assert!(subject.is_some());
    assert_eq!(subject, view.subject(ResourceType::Endpoints, "payments.shop:http"));
    for (ty, name) in [
        (ResourceType::Listener, "payments.shop:http"),
        (ResourceType::Route, "payments.shop.svc:http"),
        (ResourceType::Cluster, "canary.payments.shop:http"),
        (ResourceType::Endpoints, "xdstp://mesh/envoy.config.endpoint.v3.ClusterLoadAssignment/payments.shop:http"),
    ] {
        assert_eq!(view.follows(ty, name), subject, "{ty} {name}");
    }
    assert_eq!(view.follows(ResourceType::Endpoints, "payments.shop:http"), None, "it changes itself");
}

/// A node with metadata.
fn node(key: &str, value: &str) -> Node {
    let kind = Some(prost_types::value::Kind::StringValue(value.to_owned()));
    let fields = [(key.to_owned(), prost_types::Value { kind })].into();
    Node { metadata: Some(prost_types::Struct { fields }), ..Node::default() }
}

#[test]
fn a_client_may_choose_namespaces() {
    let view = payments(&node(node::NAMESPACES, "bank, books"));
    assert!(view.get(ResourceType::Listener, "payments.shop:http").is_none());
    let mut count = 0;
    view.for_each(ResourceType::Cluster, &mut |_| count += 1);
    assert_eq!(count, 0);
    let view = payments(&node(node::NAMESPACES, "shop"));
    assert!(view.get(ResourceType::Listener, "payments.shop:http").is_some());
}

#[test]
fn an_envoy_of_single_streams_is_told_where_endpoints_are() {
    let source = |serves, node: &Node| {
        let machines = registered("payments", vec![vm("vm-1", "198.51.100.1")]);
        let view = seen(vec![machines], node, serves);
        let cluster: Cluster = get(&view, ResourceType::Cluster, "payments.shop:http");
        format!("{:?}", cluster.eds_cluster_config.expect("by EDS").eds_config)
    };
    let single = Serves::Only(ResourceType::Cluster);
    assert!(source(Serves::Catalog, &Node::default()).contains("Ads("));
    assert!(source(single, &Node::default()).contains("cluster_name: \"rollcall\""));
    assert!(source(single, &node(node::SERVER, "discovery")).contains("cluster_name: \"discovery\""));
    assert!(source(single, &node(node::SERVER, "")).contains("Ads("), "it has one for endpoints");
}

#[test]
fn what_is_near_comes_first_and_priorities_have_no_gaps() {
    let zoned = |name: &str, address: &str, zone: &str| {
        let mut vm = (*vm(name, address)).clone();
        vm.zone = Some(zone.into());
        Arc::new(vm)
    };
    let machines = || {
        let vms = vec![
            zoned("vm-1", "198.51.100.1", "a"),
            zoned("vm-2", "198.51.100.2", "b"),
            zoned("vm-3", "198.51.100.3", "c"),
        ];
        vec![registered("payments", vms)]
    };
    let priorities = |zone: &str| {
        let locality = Some(Locality { zone: zone.to_owned(), ..Locality::default() });
        let view = seen(machines(), &Node { locality, ..Node::default() }, Serves::Catalog);
        let assignment: ClusterLoadAssignment = get(&view, ResourceType::Endpoints, "payments.shop:http");
        let of = |part: &envoy_types::pb::envoy::config::endpoint::v3::LocalityLbEndpoints| {
            (part.locality.as_ref().map(|place| place.zone.clone()).unwrap_or_default(), part.priority)
        };
        assignment.endpoints.iter().map(of).collect::<Vec<_>>()
    };
    let sorted = |of: [(&str, u32); 3]| of.map(|(zone, priority)| (zone.to_owned(), priority)).to_vec();
    assert_eq!(priorities("b"), sorted([("b", 0), ("a", 1), ("c", 1)]));
    assert_eq!(priorities("elsewhere"), sorted([("a", 0), ("b", 0), ("c", 0)]));
    assert_eq!(priorities(""), sorted([("a", 0), ("b", 0), ("c", 0)]));
}

#[test]
fn a_zone_where_everything_is_drained_makes_no_gap_and_no_priority() {
    let (part, place) = (|zone: &str, weight| Part { weight, ..Part::in_zone(zone) }, ("".into(), "a".into()));
    let mut parts = vec![part("a", 0), part("b", 2), part("c", 0)];
    near::rank(&mut parts, Some(&place));
    assert_eq!(parts.iter().map(|part| part.priority).collect::<Vec<_>>(), [0, 0, 0]);
    let mut parts = vec![part("a", 1), part("b", 0)];
    near::rank(&mut parts, Some(&place));
    assert_eq!(parts.iter().map(|part| part.priority).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn what_a_zone_cannot_carry_goes_to_the_next() {
    let part = |zone: &str, region: &str, weight, missing| {
        let mut part = Part { weight, missing, ..Part::in_zone(zone) };
        part.locality.region = region.to_owned();
        part
    };
    let ranked = |parts: &[Part]| {
        let mut parts = parts.to_vec();
        near::rank(&mut parts, Some(&("eu".into(), "a".into())));
        parts.iter().map(|part| (part.locality.zone.clone(), part.priority, part.weight)).collect::<Vec<_>>()
    };
    let told = |of: &[(&str, u32, u32)]| -> Vec<(String, u32, u32)> {
        of.iter().map(|(zone, priority, weight)| ((*zone).to_owned(), *priority, *weight)).collect()
    };
    let far = part("x", "us", 10, 0);
    // Five of seven carry all.
    let well = [part("a", "eu", 5, 2), part("b", "eu", 4, 0), far.clone()];
    assert_eq!(ranked(&well), told(&[("a", 0, 5), ("b", 1, 4), ("x", 2, 10)]));
    // One of ten carries 14 %.
    let poor = [part("a", "eu", 1, 9), part("b", "eu", 4, 0), part("c", "eu", 4, 0), far.clone()];
    assert_eq!(ranked(&poor), told(&[("a", 0, 140_000), ("b", 0, 430_000), ("c", 0, 430_000), ("x", 1, 10)]));
    // So do both, and the rest goes far away.
    let worse = [part("a", "eu", 1, 9), part("b", "eu", 1, 1), far];
    assert_eq!(ranked(&worse), told(&[("a", 0, 140_000), ("b", 0, 700_000), ("x", 0, 160_000)]));
    // Nobody else is there.
    assert_eq!(ranked(&[part("a", "eu", 1, 9)]), told(&[("a", 0, 1)]));
}

#[test]
fn what_is_called_last_is_last_from_everywhere_and_takes_nothing_over() {
    let part = |zone: &str, weight, missing, last| {
        let reach = if last > 0 { Reach::Last } else { Reach::Own };
        Part { weight, missing, reach, ..Part::in_zone(zone) }
    };
    let ranked = |parts: &[Part]| {
        let mut parts = parts.to_vec();
        near::rank(&mut parts, Some(&("".into(), "a".into())));
        parts.iter().map(|part| (part.locality.zone.clone(), part.priority, part.weight)).collect::<Vec<_>>()
    };
    let told = |of: &[(&str, u32, u32)]| -> Vec<(String, u32, u32)> {
        of.iter().map(|(zone, priority, weight)| ((*zone).to_owned(), *priority, *weight)).collect()
    };
    let own_last = [part("a", 1, 0, 1), part("a", 300, 0, 0), part("b", 200, 0, 0)];
    assert_eq!(ranked(&own_last), told(&[("a", 0, 300), ("b", 1, 200), ("a", 2, 1)]));
    let alone_and_few = [part("a", 100, 900, 0), part("a", 9, 0, 1)];
    assert_eq!(ranked(&alone_and_few), told(&[("a", 0, 100), ("a", 1, 9)]), "nothing as long as one is Passing");
    let mut only_the_last = vec![part("a", 1, 0, 2), part("b", 0, 0, 0)];
    near::rank(&mut only_the_last, None);
    assert_eq!(ranked(&only_the_last)[0].1, 0);
}

#[test]
fn an_envoy_chooses_clusters_by_the_labels_of_services() {
    let labelled = |name: &str, labels: Vec<(Arc<str>, Arc<str>)>| {
        let facts = ServiceFacts { labels: labels.into(), ..facts() };
        Input::Service(service_key(name), Some(Arc::new(facts)))
    };
    let inputs = || {
        vec![
            labelled("payments", vec![("team".into(), "shop".into())]),
            labelled("ledger", vec![("team".into(), "bank".into())]),
            registered("machines", vec![vm("vm-1", "198.51.100.1")]),
        ]
    };
    let clusters = |choice: &str| {
        let view = seen(inputs(), &node("rollcall.dev/services", choice), Serves::Catalog);
        let mut names = Vec::new();
        view.for_each(ResourceType::Cluster, &mut |cluster| names.push(cluster.name.to_string()));
        assert!(view.get(ResourceType::Endpoints, "ledger.shop:http").is_some(), "endpoints follow clusters");
        names.sort();
        names.join(" ")
    };
    assert_eq!(clusters("team=shop"), "payments.shop:http");
    assert_eq!(clusters("team in (shop,bank)"), "ledger.shop:http payments.shop:http");
    assert_eq!(clusters("!team"), "machines.shop:http", "what has no Service has no labels");
    assert_eq!(clusters("team of (shop)"), "", "nothing rather than everything");
    let view = seen(inputs(), &node("rollcall.dev/services", "team=shop"), Serves::Catalog);
    for (name, is_there) in [("payments.shop.svc:http", true), ("ledger.shop.svc:http", false)] {
        assert_eq!(view.get(ResourceType::Cluster, name).is_some(), is_there, "{name}: by another name as well");
    }
}

#[test]
fn who_wants_to_report_loads_is_told_to_whom() {
    let node = node("rollcall.dev/load-reports", "true");
    for (serves, elsewhere) in [(Serves::Catalog, false), (Serves::Only(ResourceType::Cluster), true)] {
        let view = seen(vec![cluster_ip("payments")], &node, serves);
        let cluster: Cluster = get(&view, ResourceType::Cluster, "payments.shop:http");
        assert!(cluster.lrs_server.is_some(), "{serves:?}");
        let source = cluster.eds_cluster_config.and_then(|eds| eds.eds_config).expect("by EDS");
        assert_eq!(
            matches!(source.config_source_specifier, Some(ConfigSourceSpecifier::ApiConfigSource(_))),
            elsewhere
        );
    }
    let plain: Cluster = get(&payments(&Node::default()), ResourceType::Cluster, "payments.shop:http");
    assert!(plain.lrs_server.is_none(), "nobody asked");
}
