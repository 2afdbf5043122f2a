//! Tests: the order in which types are sent.

use super::{World, ack, subscribe};
use crate::resource::ResourceType::{self, Cluster, EndpointBucket, Endpoints, Service, Zone};

/// Publishes several changes at once.
fn batch(world: &mut World, changes: &[(ResourceType, &str, Option<&str>)]) {
    for (ty, name, body) in changes {
        let resource = |body: &str| crate::resource::Resource::from_body(*ty, *name, body.as_bytes().to_vec());
        match body {
            Some(body) => _ = world.cache.upsert(*ty, resource(body)),
            None => _ = world.cache.remove(*ty, name),
        }
    }
    world.cache.publish();
}

fn types(world: &mut World) -> Vec<String> {
    let mut types = Vec::new();
    while let Some(said) = world.next() {
        world.ask(ack(&said)).expect("fine");
        let label = ResourceType::from_type_url(&said.type_url).expect("served").label();
        types.push(format!("{label} {}", said.what.join(" ")));
    }
    types
}

#[test]
fn additions_go_parts_first() {
    let mut world = World::with(Zone, &["z"]);
    batch(&mut world, &[Cluster, Endpoints, Service, EndpointBucket].map(|ty| (ty, "a", Some("1"))));
    for ty in [Zone, Service, EndpointBucket, Endpoints, Cluster] {
        world.ask(subscribe(ty, &[])).expect("fine");
    }
    assert_eq!(types(&mut world), ["cluster a=1", "endpoints a=1", "endpoint_bucket a=1", "service a=1", "zone z=1"]);
}

#[test]
fn a_zone_waits_for_the_last_part_of_the_first_state() {
    let mut world = World::with(Zone, &["z"]);
    let body = "x".repeat(1 << 20);
    (0..4).for_each(|n| world.write(EndpointBucket, &format!("{n}"), &body));
    for ty in [EndpointBucket, Zone] {
        world.ask(subscribe(ty, &[])).expect("fine");
    }
    let first = world.next().expect("due");
    assert_eq!((first.what.len(), world.next()), (3, None));
    world.ask(ack(&first)).expect("fine");
    let rest = types(&mut world);
    assert_eq!((rest.len(), &*rest[1]), (2, "zone z=1"));
}

#[test]
fn a_bucket_goes_after_the_service_that_no_longer_counts_it() {
    let mut world = World::with(EndpointBucket, &["a/1/0"]);
    world.write(Service, "a", "buckets=1");
    for ty in [EndpointBucket, Service] {
        world.ask(subscribe(ty, &[])).expect("fine");
    }
    world.drain();
    let one = Some("1");
    batch(
        &mut world,
        &[
            (EndpointBucket, "a/1/0", None),
            (EndpointBucket, "a/2/0", one),
            (EndpointBucket, "a/2/1", one),
            (Service, "a", Some("buckets=2")),
        ],
    );
    assert_eq!(types(&mut world), ["endpoint_bucket a/2/0=1 a/2/1=1", "service a=buckets=2", "endpoint_bucket -a/1/0"]);
}

#[test]
fn removals_begin_with_what_refers_to_others() {
    let mut world = World::with(Zone, &[]);
    let all = [Cluster, Endpoints, Service, EndpointBucket];
    batch(&mut world, &all.map(|ty| (ty, "a", Some("1"))));
    for ty in all {
        world.ask(subscribe(ty, &["*"])).expect("fine");
    }
    world.drain();
    batch(&mut world, &all.map(|ty| (ty, "a", None)));
    assert_eq!(types(&mut world), ["service -a", "endpoint_bucket -a", "cluster -a", "endpoints -a"]);
}

#[test]
fn removals_are_not_held_back_forever() {
    let mut world = World::with(EndpointBucket, &["old"]);
    world.write(Service, "a", "0");
    for ty in [EndpointBucket, Service] {
        world.ask(subscribe(ty, &[])).expect("fine");
    }
    world.drain();
    // The service is never acknowledged again, so it always has something unsent.
    world.write(Service, "a", "1");
    world.hear();
    world.write(Service, "a", "2");
    world.remove(EndpointBucket, "old");
    assert_eq!(world.next(), None);
    let mut heard = Vec::new();
    for step in 0..20 {
        world.write(EndpointBucket, "busy", &format!("{step}"));
        let said = world.next().expect("the bucket does not wait");
        world.ask(ack(&said)).expect("fine");
        heard.extend(said.what);
    }
    assert!(heard.contains(&"-old".to_owned()), "{heard:?}");
}

#[test]
fn endpoints_follow_each_change_of_their_cluster_unasked() {
    let mut world = World::with(Cluster, &["a", "b"]);
    world.write(Endpoints, "a", "1");
    world.ask(subscribe(Cluster, &[])).expect("fine");
    assert_eq!(world.drain(), ["a=1", "b=1"]);
    world.ask(subscribe(Endpoints, &["a"])).expect("fine");
    assert_eq!(world.drain(), ["a=1"]);
    world.write(Cluster, "a", "2");
    assert_eq!(types(&mut world), ["cluster a=2", "endpoints a=1"]);
    world.write(Cluster, "b", "2");
    assert_eq!(types(&mut world), ["cluster b=2"], "nobody listens to the endpoints of b");
    world.write(Endpoints, "a", "2");
    assert_eq!(types(&mut world), ["endpoints a=2"], "the reverse does not hold");
}

/// Found by the model: the removal and its undoing cancel out, but a new cluster came in between.
#[test]
fn endpoints_that_went_and_came_back_unsent_still_follow_a_cluster_that_came_meanwhile() {
    let mut world = World::with(Endpoints, &["a"]);
    world.ask(subscribe(Cluster, &[])).expect("fine");
    world.ask(subscribe(Endpoints, &["a"])).expect("fine");
    let (cluster, endpoints) = (world.next().expect("due"), world.next().expect("due"));
    world.ask(ack(&cluster)).expect("fine");
    world.remove(Endpoints, "a");
    world.write(Cluster, "a", "1");
    assert_eq!(world.hear(), ["a=1"]);
    world.write(Endpoints, "a", "1");
    world.ask(ack(&endpoints)).expect("fine");
    assert_eq!(types(&mut world), ["endpoints a=1"]);
}
