//! Tests: how much is on its way at a time.

use super::{Heard, World, ack, nack, node, subscribe, unsubscribe};
use crate::{
    resource::ResourceType::{Cluster, Endpoints, Service},
    stream::RESPONSE_BYTES_MAX,
};

#[test]
fn changes_coalesce_while_a_response_is_unanswered() {
    let mut world = World::with(Service, &["a", "b"]);
    world.ask(subscribe(Service, &[])).expect("fine");
    let first = world.next().expect("due");
    for body in ["2", "3", "4"] {
        world.write(Service, "a", body);
    }
    world.remove(Service, "b");
    assert_eq!(world.next(), None);
    world.ask(ack(&first)).expect("fine");
    assert_eq!(world.drain(), ["a=4", "-b"]);
    assert_eq!(world.session.coalesced()[Service], 2);
}

#[test]
fn a_change_that_undoes_itself_before_it_is_sent_is_not_sent() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &[])).expect("fine");
    let first = world.next().expect("due");
    world.write(Service, "a", "2");
    world.write(Service, "a", "1");
    world.write(Service, "brief", "1");
    world.remove(Service, "brief");
    world.ask(ack(&first)).expect("fine");
    assert_eq!(world.next(), None);
}

#[test]
fn one_type_does_not_wait_for_another() {
    let mut world = World::with(Cluster, &["a"]);
    world.write(Endpoints, "a", "1");
    world.ask(subscribe(Cluster, &[])).expect("fine");
    world.ask(subscribe(Endpoints, &["a"])).expect("fine");
    assert_eq!(world.hear(), ["a=1"]);
    assert_eq!(world.hear(), ["a=1"], "Envoy acknowledges the cluster only when it has the endpoints");
}

#[test]
fn nonces_are_unique_on_a_stream() {
    let mut world = World::with(Cluster, &["a"]);
    world.write(Endpoints, "a", "1");
    world.ask(subscribe(Cluster, &[])).expect("fine");
    world.ask(subscribe(Endpoints, &["a"])).expect("fine");
    let (first, second) = (world.next().expect("due"), world.next().expect("due"));
    assert_ne!(first.nonce, second.nonce);
}

#[test]
fn an_old_nonce_does_not_open_the_window() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &[])).expect("fine");
    let first = world.next().expect("due");
    world.ask(ack(&first)).expect("fine");
    world.write(Service, "a", "2");
    world.hear();
    world.write(Service, "a", "3");
    world.ask(ack(&first)).expect("fine");
    assert_eq!(world.next(), None);
}

/// Found by the model: the client reads the old response after it asked for everything again.
#[test]
fn what_is_still_under_way_when_a_wildcard_ends_is_settled_when_it_begins_again() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &["*"])).expect("fine");
    let under_way = world.next().expect("due");
    world.ask(unsubscribe(Service, &["*"])).expect("fine");
    world.ask(subscribe(Service, &["*"])).expect("fine");
    world.remove(Service, "a");
    assert_eq!(world.hear(), ["-a"]);
    world.ask(ack(&under_way)).expect("fine");
    assert_eq!(world.next(), None);
}

#[test]
fn a_rejection_is_kept_and_not_answered_with_the_same_again() {
    let mut world = World::with(Service, &["a"]);
    world.ask(node("dns-0", subscribe(Service, &[]))).expect("fine");
    let first = world.next().expect("due");
    let heard = world.ask(nack(&first, "no port")).expect("fine");
    assert!(matches!(heard, Heard::Nack(rejection) if rejection.message == "no port" && rejection.code == 3));
    assert_eq!(world.next(), None);
    world.write(Service, "a", "2");
    assert_eq!(world.drain(), ["a=2"]);
    let kept = world.session.last_rejection(Service).expect("kept after a later ACK");
    assert_eq!((&*kept.message, kept.nonce.to_string()), ("no port", first.nonce));
    assert_eq!((world.session.last_rejection(Cluster), world.session.node_id()), (None, "dns-0"));
}

#[test]
fn a_long_rejection_is_cut() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &[])).expect("fine");
    let first = world.next().expect("due");
    world.ask(nack(&first, &"é".repeat(100_000))).expect("fine");
    let kept = world.session.last_rejection(Service).expect("kept");
    assert_eq!(kept.message.chars().count(), 1024);
}

#[test]
fn a_large_answer_is_split_below_what_clients_accept() {
    let mut world = World::with(Service, &[]);
    let body = "x".repeat(1 << 20);
    (0..10).for_each(|n| world.write(Service, &format!("{n}"), &body));
    world.ask(subscribe(Service, &[])).expect("fine");
    let mut counts = Vec::new();
    while let Some(said) = world.next() {
        counts.push(said.what.len());
        assert!(said.what.iter().map(String::len).sum::<usize>() < RESPONSE_BYTES_MAX);
        world.ask(ack(&said)).expect("fine");
    }
    assert_eq!(counts, [3, 3, 3, 1]);
}

#[test]
fn a_resource_that_is_too_large_goes_alone() {
    let mut world = World::with(Service, &["a", "z"]);
    world.write(Service, "huge", &"x".repeat(RESPONSE_BYTES_MAX + 1));
    world.ask(subscribe(Service, &[])).expect("fine");
    let mut counts = Vec::new();
    while let Some(said) = world.next() {
        counts.push(said.what.len());
        world.ask(ack(&said)).expect("fine");
    }
    assert_eq!(counts, [1, 1, 1]);
}

#[test]
fn a_client_that_never_acknowledges_holds_one_pending_entry_per_name() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &[])).expect("fine");
    world.hear();
    for step in 0..1_000 {
        world.write(Service, "a", &format!("v{step}"));
        assert_eq!(world.next(), None);
    }
    assert_eq!(world.session.coalesced()[Service], 999);
}
