//! Tests: names that are asked for and given up.

use super::{World, ack, subscribe, unsubscribe};
use crate::resource::ResourceType::{Cluster, Endpoints, Service};

#[test]
fn a_first_request_without_names_is_a_wildcard() {
    let mut world = World::with(Service, &["a", "b"]);
    world.ask(subscribe(Service, &[])).expect("fine");
    assert_eq!(world.drain(), ["a=1", "b=1"]);
    world.write(Service, "c", "1");
    world.remove(Service, "a");
    assert_eq!(world.drain(), ["c=1", "-a"]);
}

#[test]
fn a_star_is_a_wildcard() {
    let mut world = World::with(Service, &["a", "b"]);
    world.ask(subscribe(Service, &["*"])).expect("fine");
    assert_eq!(world.drain(), ["a=1", "b=1"]);
}

#[test]
fn a_name_brings_that_resource_and_its_changes_only() {
    let mut world = World::with(Service, &["a", "b"]);
    world.ask(subscribe(Service, &["b"])).expect("fine");
    assert_eq!(world.drain(), ["b=1"]);
    world.write(Service, "a", "2");
    assert_eq!(world.drain(), [""; 0]);
    world.write(Service, "b", "2");
    assert_eq!(world.drain(), ["b=2"]);
}

#[test]
fn types_are_apart() {
    let mut world = World::with(Service, &["a"]);
    world.write(Cluster, "a", "1");
    world.ask(subscribe(Service, &["a"])).expect("fine");
    assert_eq!(world.drain(), ["a=1"]);
    world.write(Cluster, "a", "2");
    assert_eq!(world.drain(), [""; 0]);
}

#[test]
fn an_unknown_name_is_answered_as_removed_and_remembered() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &["later"])).expect("fine");
    assert_eq!(world.drain(), ["-later"]);
    world.write(Service, "later", "1");
    assert_eq!(world.drain(), ["later=1"]);
    world.remove(Service, "later");
    assert_eq!(world.drain(), ["-later"]);
    world.write(Service, "later", "1");
    assert_eq!(world.drain(), ["later=1"]);
}

#[test]
fn an_unknown_name_is_answered_whatever_happens_before_the_answer() {
    let mut world = World::with(Service, &[]);
    world.ask(subscribe(Service, &["a"])).expect("fine");
    world.write(Service, "a", "1");
    world.remove(Service, "a");
    assert_eq!(world.drain(), ["-a"]);
}

#[test]
fn a_known_name_that_goes_before_its_answer_is_answered_as_removed() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &["a"])).expect("fine");
    world.remove(Service, "a");
    assert_eq!(world.drain(), ["-a"]);
}

#[test]
fn a_held_resource_that_is_subscribed_again_is_sent_again() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &["a"])).expect("fine");
    assert_eq!(world.drain(), ["a=1"]);
    world.ask(subscribe(Service, &["a"])).expect("fine");
    assert_eq!(world.drain(), ["a=1"]);
    world.ask(subscribe(Service, &["a"])).expect("fine");
    world.remove(Service, "a");
    world.write(Service, "a", "1");
    assert_eq!(world.drain(), ["a=1"], "a change that undoes itself does not undo the question");
}

#[test]
fn a_subscription_is_answered_while_an_earlier_response_is_unacknowledged() {
    let mut world = World::with(Service, &["a", "b"]);
    world.ask(subscribe(Service, &["a"])).expect("fine");
    let unanswered = world.next().expect("a is due");
    world.ask(subscribe(Service, &["b"])).expect("fine");
    assert_eq!(world.hear(), ["b=1"]);
    world.write(Service, "a", "2");
    world.ask(ack(&unanswered)).expect("fine");
    assert_eq!(world.next(), None, "the response with b is still unanswered");
}

#[test]
fn an_unsubscribed_name_is_silent() {
    let mut world = World::with(Service, &["a", "b"]);
    world.ask(subscribe(Service, &["a", "b"])).expect("fine");
    world.drain();
    world.ask(unsubscribe(Service, &["a", "never-had"])).expect("fine");
    world.write(Service, "a", "2");
    world.write(Service, "b", "2");
    assert_eq!(world.drain(), ["b=2"]);
}

#[test]
fn a_pending_answer_is_dropped_with_its_subscription() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &["a", "unknown"])).expect("fine");
    world.ask(unsubscribe(Service, &["a", "unknown"])).expect("fine");
    assert_eq!(world.drain(), [""; 0]);
}

#[test]
fn unsubscribing_everything_is_not_a_wildcard() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &["a"])).expect("fine");
    world.drain();
    world.ask(unsubscribe(Service, &["a"])).expect("fine");
    world.ask(subscribe(Service, &[])).expect("fine");
    world.write(Service, "b", "1");
    assert_eq!(world.drain(), [""; 0]);
}

#[test]
fn a_name_in_both_lists_stays_subscribed_and_is_answered() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &["a"])).expect("fine");
    world.drain();
    let mut both = subscribe(Service, &["a"]);
    both.resource_names_unsubscribe = vec!["a".to_owned()];
    world.ask(both).expect("fine");
    assert_eq!(world.drain(), ["a=1"]);
    world.write(Service, "a", "2");
    assert_eq!(world.drain(), ["a=2"]);
}

#[test]
fn a_name_beside_a_legacy_wildcard_keeps_the_wildcard() {
    let mut world = World::with(Service, &["a", "b"]);
    world.ask(subscribe(Service, &[])).expect("fine");
    world.drain();
    world.ask(subscribe(Service, &["a"])).expect("fine");
    assert_eq!(world.drain(), ["a=1"]);
    world.write(Service, "b", "2");
    assert_eq!(world.drain(), ["b=2"]);
}

#[test]
fn a_name_unsubscribed_under_a_wildcard_is_answered_as_it_is_now() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &["*", "a", "unknown"])).expect("fine");
    assert_eq!(world.drain(), ["a=1", "-unknown"]);
    world.ask(unsubscribe(Service, &["a"])).expect("fine");
    assert_eq!(world.drain(), ["a=1"]);
    world.ask(unsubscribe(Service, &["unknown"])).expect("fine");
    assert_eq!(world.drain(), ["-unknown"]);
    world.write(Service, "a", "2");
    assert_eq!(world.drain(), ["a=2"], "it is still in the wildcard");
}

#[test]
fn a_wildcard_unsubscribed_leaves_the_names() {
    let mut world = World::with(Service, &["a", "b"]);
    world.ask(subscribe(Service, &["*", "a"])).expect("fine");
    world.drain();
    world.ask(unsubscribe(Service, &["*"])).expect("fine");
    world.write(Service, "a", "2");
    world.write(Service, "b", "2");
    assert_eq!(world.drain(), ["a=2"]);
    assert_eq!(world.session.held(Service), 1);
}

#[test]
fn a_wildcard_beside_names_sends_the_rest_only() {
    let mut world = World::with(Service, &["a", "b"]);
    world.ask(subscribe(Service, &["a"])).expect("fine");
    world.drain();
    world.ask(subscribe(Service, &["*"])).expect("fine");
    assert_eq!(world.drain(), ["b=1"]);
}

#[test]
fn a_wildcard_subscribed_again_is_answered_in_full() {
    let mut world = World::with(Service, &["a", "b"]);
    world.ask(subscribe(Service, &["*"])).expect("fine");
    world.drain();
    world.ask(subscribe(Service, &["*"])).expect("fine");
    assert_eq!(world.drain(), ["a=1", "b=1"]);
}

/// Found by the model: the client may have dropped what went and came back before the answer.
#[test]
fn a_wildcard_subscribed_again_is_answered_in_full_even_for_what_is_about_to_go() {
    let mut world = World::with(Service, &["a"]);
    world.ask(subscribe(Service, &["*"])).expect("fine");
    world.drain();
    world.remove(Service, "a");
    world.ask(subscribe(Service, &["*"])).expect("fine");
    world.write(Service, "a", "1");
    assert_eq!(world.drain(), ["a=1"]);
}

#[test]
fn a_wildcard_of_nothing_is_answered_with_an_empty_response() {
    let mut world = World::with(Cluster, &[]);
    world.ask(subscribe(Cluster, &[])).expect("fine");
    assert_eq!(world.hear(), [""; 0]);
    assert_eq!(world.next(), None, "once");
}

#[test]
fn a_type_that_is_not_served_is_refused_and_the_rest_goes_on() {
    const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
    let mut world = World::with(Endpoints, &["a"]);
    let listener = |names: &[&str]| {
        let mut request = subscribe(Endpoints, names);
        request.type_url = LISTENER.to_owned();
        request
    };
    world.ask(listener(&[])).expect("fine");
    let empty = world.next().expect("a wildcard is answered");
    assert_eq!((&*empty.type_url, empty.what.len()), (LISTENER, 0));
    world.ask(ack(&empty)).expect("fine");
    assert_eq!(world.next(), None, "its ACK is not another question");
    world.ask(listener(&["one", "two"])).expect("fine");
    assert_eq!(world.hear(), ["-one", "-two"]);
    world.ask(subscribe(Endpoints, &["a"])).expect("fine");
    assert_eq!(world.drain(), ["a=1"]);
}
