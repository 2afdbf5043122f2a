//! Tests: what a client may ask for and hold at most.

use tonic::Code;

use super::{Limits, Session, World, knowing, request, strings, subscribe, unsubscribe};
use crate::{
    known,
    resource::ResourceType::{Cluster, Service},
};

fn limited() -> World {
    let limits = Limits {
        names_per_request_max: 3,
        versions_per_request_max: 3,
        names_per_stream_max: 4,
        asked_bytes_max: 1_000,
        name_bytes_max: 100,
        unserved_types_max: 2,
    };
    World { session: Session::new(limits), ..World::with(Service, &["a"]) }
}

/// The request is refused with this code, in these words.
fn refused(world: &mut World, request: crate::proto::discovery::DeltaDiscoveryRequest, code: Code, words: &str) {
    let error = world.ask(request).expect_err("beyond the limit");
    assert_eq!(error.code(), code);
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_request_without_a_type_is_refused() {
    let mut nameless = request(Service);
    nameless.type_url.clear();
    refused(&mut limited(), nameless, Code::InvalidArgument, "no type_url");
}

#[test]
fn a_request_with_too_many_names_is_refused() {
    let names = ["a", "b", "c", "d"];
    refused(&mut limited(), subscribe(Service, &names), Code::ResourceExhausted, "names 4 resources, the limit is 3");
    refused(&mut limited(), unsubscribe(Service, &names), Code::ResourceExhausted, "names 4 resources");
    let held = names.map(|name| (name, "1"));
    refused(&mut limited(), knowing(request(Service), &held), Code::ResourceExhausted, "names 4 resources");
}

#[test]
fn a_stream_with_too_many_names_is_refused_over_all_types() {
    let mut world = limited();
    world.ask(subscribe(Service, &["a", "b", "c"])).expect("fine");
    world.ask(subscribe(Service, &["a", "b", "c"])).expect("the same again is not more");
    refused(
        &mut world,
        subscribe(Cluster, &["a", "b"]),
        Code::ResourceExhausted,
        "subscribed to 5 names, the limit is 4",
    );
}

#[test]
fn a_name_version_or_type_that_is_too_long_is_refused() {
    let long = "é".repeat(51);
    let code = Code::InvalidArgument;
    refused(&mut limited(), subscribe(Service, &[&long]), code, "102 bytes, the limit is 100");
    refused(&mut limited(), unsubscribe(Service, &[&long]), code, "resource name");
    refused(&mut limited(), knowing(request(Service), &[(&long, "1")]), code, "resource name");
    let mut version = request(Service);
    version.initial_resource_versions = vec![known::entry("a", &long)];
    refused(&mut limited(), version, code, "version");
    let mut nonsense = request(Service);
    nonsense.initial_resource_versions = vec!["a".into()];
    refused(&mut limited(), nonsense, code, "no name and version");
    let mut type_url = request(Service);
    type_url.type_url = long;
    refused(&mut limited(), type_url, code, "type_url");
}

#[test]
fn too_many_types_that_do_not_exist_are_refused() {
    let mut world = limited();
    let of = |type_url: &str| {
        let mut request = request(Service);
        request.type_url = type_url.to_owned();
        request
    };
    world.ask(of("one")).expect("fine");
    world.ask(of("two")).expect("fine");
    refused(&mut world, of("three"), Code::ResourceExhausted, "more than 2 resource types");
}

#[test]
fn names_of_types_that_do_not_exist_are_bounded() {
    let mut world = limited();
    let mut request = request(Service);
    request.type_url = "one".to_owned();
    request.resource_names_subscribe = strings(&["a", "b", "c"]);
    world.ask(request.clone()).expect("fine");
    request.resource_names_subscribe = strings(&["d", "e"]);
    refused(&mut world, request, Code::ResourceExhausted, "the limit is 4");
}

#[test]
fn names_that_do_not_exist_are_kept_as_a_hash() {
    let mut world = World::with(Service, &["a"]);
    let names: Vec<_> = (0..1_000).map(|n| format!("{n:02000}")).collect();
    world.ask(subscribe(Service, &names.iter().map(String::as_str).collect::<Vec<_>>())).expect("fine");
    assert!(world.session.asked_bytes() > 2_000_000, "until they are answered");
    assert_eq!(world.hear().len(), 1_000);
    assert!(world.session.asked_bytes() > 2_000_000, "until that may have been read");
    assert_eq!(world.next(), None);
    assert!(world.session.asked_bytes() > 2_000_000, "that the transport asks for more says nothing about the client");
    let mut more = request(Service);
    more.response_nonce = "1".to_owned();
    world.ask(more).expect("an ACK");
    let bytes = world.session.asked_bytes();
    assert!(bytes < 1_000 * 32, "{bytes} bytes");
    world.write(Service, &names[7], "1");
    assert_eq!(world.drain(), [format!("{}=1", names[7])], "none is forgotten");
    world.ask(unsubscribe(Service, &[&names[7], &names[8]])).expect("fine");
    world.write(Service, &names[7], "2");
    world.write(Service, &names[8], "1");
    assert_eq!(world.drain(), [""; 0]);
}

#[test]
fn absent_names_are_found_by_a_stream_that_fell_out_of_the_ring() {
    let mut world = World::with(Service, &[]);
    world.cache = crate::cache::Cache::with_ring(2);
    world.ask(subscribe(Service, &["later", "never"])).expect("fine");
    world.drain();
    for name in ["later", "b", "c"] {
        world.cache.upsert(Service, crate::resource::Resource::from_body(Service, name, &b"1"[..]));
    }
    world.cache.publish();
    assert_eq!(world.drain(), ["later=1"]);
}

#[test]
fn a_client_that_asks_and_does_not_read_is_refused() {
    let mut world = World { session: Session::new(Limits { asked_bytes_max: 400, ..Limits::default() }), ..limited() };
    world.ask(subscribe(Service, &["absent-0"])).expect("fine");
    let refused = (1..100).find_map(|n| world.ask(subscribe(Service, &[&format!("absent-{n}")])).err());
    let error = refused.expect("there is a limit");
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert!(error.to_string().contains("the limit is 400"), "{error}");
}

#[test]
fn answers_for_types_that_do_not_exist_count_until_they_are_read() {
    let mut world = World { session: Session::new(Limits { asked_bytes_max: 400, ..Limits::default() }), ..limited() };
    let mut request = subscribe(Service, &[&"a".repeat(300)]);
    request.type_url = "one".to_owned();
    world.ask(request.clone()).expect("fine");
    world.next().expect("an answer");
    assert_eq!(world.next(), None);
    request.resource_names_subscribe = vec!["b".repeat(300)];
    world.ask(request.clone()).expect("the first has gone");
    request.resource_names_subscribe = vec!["c".repeat(300)];
    refused(&mut world, request, Code::ResourceExhausted, "the limit is 400");
}
