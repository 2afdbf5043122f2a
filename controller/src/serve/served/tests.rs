//! Tests: what one service has on the stream.

use std::sync::Arc;

use rollcall_catalog::input::{Input, ServiceFacts};
use rollcall_catalog::model::Endpoint;
use rollcall_xds::resource::Resource;

use super::*;
use crate::testing::*;

fn machines(count: usize, change: impl Fn(usize, &mut Endpoint)) -> Arc<Service> {
    let machine = |n: usize| {
        let mut machine = Endpoint::clone(&vm(&format!("vm-{n}"), &format!("198.51.{}.{}", n / 250, n % 250)));
        change(n, &mut machine);
        Arc::new(machine)
    };
    merged([cluster_ip("payments"), registered("payments", (0..count).map(machine).collect())])
}

/// Everything in a cache, by type and name.
fn all(cache: &mut Cache) -> Vec<(ResourceType, Resource)> {
    let snapshot = cache.publish();
    let mut all: Vec<_> =
        ResourceType::ALL.into_iter().flat_map(|ty| snapshot.iter(ty).map(move |one| (ty, one.clone()))).collect();
    all.sort_unstable_by(|(a, one), (b, other)| (a, &one.name).cmp(&(b, &other.name)));
    all
}

#[test]
fn steps_from_one_state_to_the_next_end_where_encoding_the_last_begins() {
    let states = [
        machines(300, |_, _| {}),
        machines(300, |n, machine| machine.weight = if n == 77 { 3 } else { 1 }),
        machines(300, |n, machine| machine.zone = (n != 5).then(|| "zone-z".into())),
        machines(20, |_, _| {}),
        machines(0, |_, _| {}),
        machines(129, |n, machine| {
            machine.attributes = Arc::new(rollcall_catalog::model::Attributes {
                tags: vec![format!("t{n}").into()],
                ..Default::default()
            });
        }),
        machines(129, |n, machine| machine.ports = ports(&[(if n == 3 { "other" } else { "http" }, 8080)])),
    ];
    let (mut cache, mut served) = (Cache::new(), None);
    for state in &states {
        served = Some(Served::update(served, state, &mut cache));
        let mut fresh = Cache::new();
        Served::update(None, state, &mut fresh);
        assert_eq!(all(&mut cache), all(&mut fresh));
    }
    served.expect("served").withdraw(&mut cache);
    assert!(all(&mut cache).is_empty());
}

#[test]
fn other_labels_of_a_service_are_noticed_and_say_nothing_new_to_who_has_it() {
    let labelled = |team: &str| {
        let facts = ServiceFacts { labels: [("team".into(), team.into())].into(), ..facts() };
        merged([Input::Service(service_key("payments"), Some(Arc::new(facts)))])
    };
    let mut cache = Cache::new();
    let served = Served::update(None, &labelled("shop"), &mut cache);
    let before = cache.publish();
    Served::update(Some(served), &labelled("bank"), &mut cache);
    let after = cache.publish();
    let cluster = |of: &rollcall_xds::cache::Snapshot| {
        of.get(ResourceType::Cluster, "payments.shop:http").expect("a cluster").clone()
    };
    assert_ne!(after.revision(), before.revision(), "streams look at it");
    assert_eq!(cluster(&after).version, cluster(&before).version);
    assert_eq!(cluster(&after).labels.as_deref().expect("labels")[0].1.as_ref(), "bank");
}

#[test]
fn one_changed_endpoint_changes_one_bucket() {
    let (before, after) =
        (machines(500, |_, _| {}), machines(500, |n, machine| machine.weight = if n == 9 { 2 } else { 1 }));
    let buckets: Vec<_> = after.endpoints.buckets().cloned().collect();
    let changed = changed_buckets(Some(&before), &after, &buckets);
    assert_eq!((changed.len(), changed.iter().filter(|changed| **changed).count()), (8, 1));
    assert!(changed_buckets(Some(&after), &after, &buckets).iter().all(|changed| !changed));
}

#[test]
fn a_port_that_says_how_it_is_spoken_to_is_spoken_to_so_and_others_are_not() {
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;
    use prost::Message as _;
    use rollcall_catalog::input::{Input, ServiceFacts};

    let mut service_ports = ports(&[("grpc", 80), ("http", 81)]).to_vec();
    service_ports[0].app_protocol = Some("kubernetes.io/h2c".into());
    let facts = ServiceFacts { ports: service_ports.into(), ..facts() };
    let service = merged([Input::Service(service_key("payments"), Some(Arc::new(facts)))]);
    let mut cache = Cache::new();
    Served::update(None, &service, &mut cache);
    let options = |name: &str| {
        let resource = cache.get(ResourceType::Cluster, name).expect("a cluster");
        Cluster::decode(&*resource.body()).expect("a Cluster").typed_extension_protocol_options.len()
    };
    assert_eq!((options("payments.shop:grpc"), options("payments.shop:http")), (1, 0));
}
