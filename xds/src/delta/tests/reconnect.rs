//! Tests: a client that comes back with what it knows.

use super::{Limits, Session, World, knowing, subscribe};
use crate::{
    known,
    resource::ResourceType::{Cluster, Endpoints, Service},
};

#[test]
fn what_the_client_knows_is_met_with_silence() {
    let mut world = World::with(Service, &["a", "b"]);
    world.ask(knowing(subscribe(Service, &[]), &[("a", "1"), ("b", "1")])).expect("fine");
    assert_eq!(world.next(), None);
    world.write(Service, "b", "2");
    assert_eq!(world.drain(), ["b=2"]);
}

#[test]
fn a_wildcard_client_is_sent_the_difference() {
    let mut world = World::with(Service, &["new", "same", "changed"]);
    let held = [("same", "1"), ("changed", "0"), ("gone", "1")];
    world.ask(knowing(subscribe(Service, &["*"]), &held)).expect("fine");
    assert_eq!(world.drain(), ["changed=1", "new=1", "-gone"]);
    assert_eq!(world.session.held(Service), 3);
}

#[test]
fn a_client_of_names_is_sent_the_difference() {
    let mut world = World::with(Service, &["new", "same", "changed", "other"]);
    let held = [("same", "1"), ("changed", "0"), ("gone", "1"), ("not-subscribed", "1")];
    let names = ["new", "same", "changed", "gone", "unknown"];
    world.ask(knowing(subscribe(Service, &names), &held)).expect("fine");
    assert_eq!(world.drain(), ["changed=1", "new=1", "-gone", "-unknown"]);
}

#[test]
fn a_version_of_another_server_is_replaced() {
    let mut world = World::with(Service, &["a"]);
    let mut first = subscribe(Service, &["*"]);
    first.initial_resource_versions = ["a", "b"].map(|name| known::entry(name, "v17")).into();
    world.ask(first).expect("fine");
    assert_eq!(world.drain(), ["a=1", "-b"]);
}

#[test]
fn known_versions_count_in_the_first_request_only() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &["b"])).expect("fine");
    world.drain();
    world.ask(knowing(subscribe(Service, &["a"]), &[("a", "1")])).expect("fine");
    assert_eq!(world.drain(), ["a=1"]);
}

#[test]
fn a_wildcard_client_that_lost_everything_is_told_so() {
    let mut world = World::with(Service, &[]);
    world.ask(knowing(subscribe(Service, &["*"]), &[("a", "1")])).expect("fine");
    assert_eq!(world.drain(), ["-a"]);
}

/// Envoy names its clusters first; the changed one needs its endpoints again, whatever the client knows of them.
#[test]
fn known_endpoints_are_sent_again_after_a_cluster_that_changed_meanwhile() {
    let mut world = World::with(Cluster, &["changed", "same"]);
    world.write(Endpoints, "changed", "1");
    world.write(Endpoints, "same", "1");
    world.ask(knowing(subscribe(Cluster, &[]), &[("changed", "0"), ("same", "1")])).expect("fine");
    assert_eq!(world.hear(), ["changed=1"]);
    let held = [("changed", "1"), ("same", "1")];
    world.ask(knowing(subscribe(Endpoints, &["changed", "same"]), &held)).expect("fine");
    assert_eq!(world.hear(), ["changed=1"]);
    assert_eq!(world.next(), None);
}

#[test]
fn a_nonce_of_an_earlier_stream_says_nothing_but_its_subscription_counts() {
    let mut world = World::with(Service, &["a"]);
    let mut first = subscribe(Service, &["a"]);
    first.response_nonce = "99".to_owned();
    assert_eq!(world.ask(first), Ok(super::Heard::Nothing));
    assert_eq!(world.drain(), ["a=1"]);
}

#[test]
fn a_stream_that_fell_out_of_the_ring_is_sent_the_difference() {
    let mut world = World::with(Service, &["changed", "gone", "same"]);
    world.cache = crate::cache::Cache::with_ring(2);
    world.session = Session::new(Limits::default());
    for name in ["changed", "gone", "same"] {
        world.write(Service, name, "1");
    }
    world.ask(subscribe(Service, &[])).expect("fine");
    world.drain();
    // Three changes in one revision do not fit the ring of two.
    world.cache.upsert(Service, crate::resource::Resource::from_body(Service, "changed", &b"2"[..]));
    world.cache.upsert(Service, crate::resource::Resource::from_body(Service, "new", &b"1"[..]));
    world.cache.remove(Service, "gone");
    world.cache.publish();
    assert_eq!(world.drain(), ["changed=2", "new=1", "-gone"]);
}
