//! Tests: keeps the resources of each service in step with the catalog.

use std::sync::Arc;

use rollcall_catalog::Catalog;
use rollcall_catalog::input::Input;
use rollcall_xds::resource::ResourceType;
use tokio::sync::watch;

use super::*;
use crate::testing::*;

/// Publishes one snapshot after the other; what streams see in the end.
fn published(steps: Vec<Vec<Input>>) -> (Arc<cache::Snapshot>, Publisher) {
    let (_sender, snapshots) = watch::channel(None);
    let (mut publisher, receiver) = Publisher::new(snapshots, "cluster.local", false);
    let mut catalog = Catalog::default();
    for step in steps {
        step.into_iter().for_each(|input| catalog.apply(input));
        catalog.publish(rollcall_catalog::time::Now::default());
        publisher.publish(&catalog.snapshot());
    }
    let snapshot = receiver.borrow().clone().expect("published");
    (snapshot, publisher)
}

fn many(count: usize) -> Input {
    registered(
        "payments",
        (0..count).map(|n| vm(&format!("vm-{n}"), &format!("198.51.{}.{}", n / 250, n % 250))).collect(),
    )
}

#[test]
fn a_service_is_served_as_every_type() {
    let (snapshot, _) = published(vec![vec![cluster_ip("payments"), many(2)]]);
    for (ty, name) in [
        (ResourceType::Service, "shop/payments"),
        (ResourceType::EndpointBucket, "shop/payments/1/0"),
        (ResourceType::Cluster, "payments.shop:http"),
        (ResourceType::Endpoints, "payments.shop:http"),
        (ResourceType::Zone, "zone"),
    ] {
        assert!(snapshot.get(ty, name).is_some(), "{ty:?} {name}");
    }
}

#[test]
fn a_larger_service_has_new_buckets_and_the_old_one_is_removed() {
    let (snapshot, _) = published(vec![vec![many(64)], vec![many(65)]]);
    let there = |name: &str| snapshot.get(ResourceType::EndpointBucket, name).is_some();
    assert_eq!(
        (there("shop/payments/1/0"), there("shop/payments/2/0"), there("shop/payments/2/1")),
        (false, true, true)
    );
}

#[test]
fn the_last_endpoint_leaves_an_empty_assignment_and_the_service_none() {
    let gone = Input::Gone(origin(rollcall_catalog::input::OriginKind::ServiceRegistration, "vms"));
    let (snapshot, _) = published(vec![vec![cluster_ip("payments"), many(1)], vec![gone.clone()]]);
    assert!(snapshot.get(ResourceType::Endpoints, "payments.shop:http").is_some(), "kept, and empty");
    let (snapshot, _) = published(vec![
        vec![cluster_ip("payments"), many(1)],
        vec![gone, Input::Service(service_key("payments"), None)],
    ]);
    assert!(snapshot.get(ResourceType::Endpoints, "payments.shop:http").is_none());
    assert!(snapshot.get(ResourceType::Service, "shop/payments").is_none());
}

#[test]
fn a_reason_alone_wakes_no_stream() {
    let mut pod = vm("vm-0", "198.51.100.1");
    let mut quiet = (*pod).clone();
    quiet.health_source = rollcall_catalog::model::HealthSource::Maintenance("one reason".into());
    pod = Arc::new(quiet.clone());
    let (before, _) = published(vec![vec![registered("payments", vec![Arc::clone(&pod)])]]);
    quiet.health_source = rollcall_catalog::model::HealthSource::Maintenance("another reason".into());
    let (after, _) =
        published(vec![vec![registered("payments", vec![pod])], vec![registered("payments", vec![Arc::new(quiet)])]]);
    assert_eq!(before.revision(), after.revision());
}

#[test]
fn what_owners_say_is_told_and_the_labels_of_pods_are_not() {
    use prost::Message as _;
    use rollcall_catalog::model::Attributes;
    use rollcall_xds::proto::rollcall::v1;

    let metadata = [("version".into(), "1.2".into()), ("rack".into(), "7".into())];
    let attributes = Arc::new(Attributes { tags: vec!["canary".into()], metadata: metadata.into(), machine: None });
    let said = |kind| {
        let endpoint = vm("vm-0", "198.51.100.1").with(|described| described.attributes = Arc::clone(&attributes));
        let Input::Contribution(contribution) = registered("payments", vec![Arc::new(endpoint)]) else { panic!() };
        let contribution = rollcall_catalog::input::Contribution { origin: origin(kind, "vms"), ..contribution };
        let (snapshot, _) = published(vec![vec![cluster_ip("payments"), Input::Contribution(contribution)]]);
        let bucket = snapshot.get(ResourceType::EndpointBucket, "shop/payments/1/0").expect("a bucket");
        v1::EndpointBucket::decode(bucket.body()).expect("a bucket").endpoints.remove(0)
    };
    let registered = said(rollcall_catalog::input::OriginKind::ServiceRegistration);
    let pairs: Vec<_> = registered.metadata.iter().map(|pair| (&*pair.key, &*pair.value)).collect();
    assert_eq!((registered.tags, pairs), (vec!["canary".to_owned()], vec![("rack", "7"), ("version", "1.2")]));
    let pod = said(rollcall_catalog::input::OriginKind::EndpointSlice);
    assert!(pod.tags.is_empty() && pod.metadata.is_empty());
}
