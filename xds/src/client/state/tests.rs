//! Tests: what the client has accepted, and what it says to a server.

use std::sync::Arc;

use bytes::Bytes;

use super::State;
use crate::{
    client::{Names, Update},
    known,
    proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
    resource::{
        Resource,
        ResourceType::{self, Cluster, EndpointBucket, Service, Zone},
    },
};

fn state() -> State {
    State::new("dns-0".to_owned(), vec![EndpointBucket, Service, Zone], &Names::new())
}

fn names(of: &[(ResourceType, &[&str])]) -> Names {
    of.iter().map(|(ty, names)| (*ty, names.iter().map(|name| Arc::from(*name)).collect())).collect()
}

fn response(ty: ResourceType, resources: &[(&str, &str)], removed: &[&str]) -> DeltaDiscoveryResponse {
    let wire = |(name, body): &(&str, &str)| Resource::from_body(ty, *name, body.as_bytes().to_vec()).wire;
    DeltaDiscoveryResponse {
        type_url: ty.type_url().to_owned(),
        resources: resources.iter().map(wire).collect(),
        removed_resources: removed.iter().map(ToString::to_string).collect(),
        nonce: "7".to_owned(),
        ..DeltaDiscoveryResponse::default()
    }
}

/// The names held of a type, as the next server would be told.
fn held(state: &State, ty: ResourceType) -> Vec<String> {
    let hello = state.hello().find(|request| request.type_url == ty.type_url()).expect("asked for");
    let name = |entry: &Bytes| known::read(entry).expect("an entry").0.to_owned();
    let mut names: Vec<_> = hello.initial_resource_versions.iter().map(name).collect();
    names.sort_unstable();
    names
}

fn error(answer: DeltaDiscoveryRequest) -> String {
    answer.error_detail.expect("a NACK").message
}

#[test]
fn a_stream_begins_with_a_wildcard_per_type_parts_first() {
    let hello: Vec<_> = state().hello().collect();
    let types: Vec<_> = hello.iter().map(|request| &*request.type_url).collect();
    assert_eq!(types, [EndpointBucket.type_url(), Service.type_url(), Zone.type_url()]);
    assert!(hello.iter().all(|request| request.resource_names_subscribe == ["*"]));
    assert!(hello.iter().all(|request| request.node.as_ref().is_some_and(|node| node.id == "dns-0")));
}

#[test]
fn an_accepted_response_is_acknowledged_and_known_to_the_next_server() {
    let mut state = state();
    let mut seen = None;
    let answer = state.on_response(&response(Service, &[("a", "1"), ("b", "1")], &[]), |update| {
        seen = Some(update);
        Ok(())
    });
    assert_eq!((&*answer.type_url, &*answer.response_nonce, &answer.error_detail), (Service.type_url(), "7", &None));
    assert!(answer.resource_names_subscribe.is_empty());
    let Some(Update { ty, upserts, removed }) = seen else { panic!("the sink was not asked") };
    let upserts: Vec<_> = upserts.iter().map(|new| (&*new.name, &*new.value)).collect();
    assert_eq!((ty, upserts, removed.len()), (Service, vec![("a", &b"1"[..]), ("b", b"1")], 0));
    assert_eq!(held(&state, Service), ["a", "b"]);
    state.on_response(&response(Service, &[], &["a"]), |_| Ok(()));
    assert_eq!((held(&state, Service), held(&state, EndpointBucket)), (vec!["b".to_owned()], vec![]));
}

#[test]
fn a_response_that_the_sink_rejects_is_not_held() {
    let mut state = state();
    state.on_response(&response(Service, &[("kept", "1")], &[]), |_| Ok(()));
    let answer = state.on_response(&response(Service, &[("a", "1")], &["kept"]), |_| Err("no port".to_owned()));
    assert_eq!(answer.response_nonce, "7");
    assert_eq!(error(answer), "no port");
    assert_eq!(held(&state, Service), ["kept"]);
}

#[test]
fn a_response_that_cannot_be_read_is_rejected_whole_without_asking_the_sink() {
    let mut state = state();
    let mut broken = response(Service, &[("a", "1")], &[]);
    broken.resources.push(bytes::Bytes::from_static(&[0xff]));
    let ask = |_| panic!("the sink was asked");
    assert!(error(state.on_response(&broken, ask)).contains("cannot be read"));
    broken.resources = vec![Resource::from_body(Zone, "a", &b""[..]).wire];
    assert!(error(state.on_response(&broken, ask)).contains("is of type"));
    broken.resources = vec![bytes::Bytes::new()];
    assert!(error(state.on_response(&broken, ask)).contains("has no content"));
    assert!(held(&state, Service).is_empty());
}

#[test]
fn a_type_that_was_not_asked_for_is_rejected() {
    let answer = state().on_response(&response(Cluster, &[], &[]), |_| panic!("the sink was asked"));
    assert!(error(answer).contains("was not asked for"));
}

#[test]
fn names_are_asked_for_one_by_one_and_given_up_again() {
    let mut state = State::new("agent-0".to_owned(), vec![Zone], &names(&[(Service, &["shop/a"])]));
    let hello: Vec<_> = state.hello().map(|request| (request.type_url, request.resource_names_subscribe)).collect();
    let url = |ty: ResourceType| ty.type_url().to_owned();
    assert_eq!(hello, [(url(Zone), vec!["*".to_owned()]), (url(Service), vec!["shop/a".to_owned()])]);
    state.on_response(&response(Service, &[("shop/a", "1")], &[]), |_| Ok(()));

    let requests = state.on_names(&names(&[(Service, &["shop/b"]), (Cluster, &["b.shop:http"])]));
    let [cluster, service] = &*requests else { panic!("one request for each type: {requests:?}") };
    assert_eq!(
        (&*cluster.type_url, &*cluster.resource_names_subscribe),
        (Cluster.type_url(), &["b.shop:http".to_owned()][..])
    );
    assert_eq!(service.resource_names_subscribe, ["shop/b"]);
    assert_eq!(service.resource_names_unsubscribe, ["shop/a"]);
    assert!(held(&state, Service).is_empty(), "the next server is told what is wanted");
    assert!(state.on_names(&names(&[(Service, &["shop/b"]), (Cluster, &["b.shop:http"])])).is_empty());
}

#[test]
fn a_type_of_which_nothing_is_wanted_any_more_is_not_asked_for_as_a_whole() {
    let mut state = State::new("agent-0".to_owned(), Vec::new(), &names(&[(Service, &["shop/a"])]));
    let requests = state.on_names(&Names::new());
    assert_eq!((requests.len(), state.hello().count()), (1, 0));
    let late = state.on_response(&response(Service, &[("shop/a", "1")], &[]), |_| Ok(()));
    assert_eq!(late.error_detail, None, "an answer that was under way is no error");
    assert_eq!(state.hello().count(), 0);
}

#[test]
fn as_many_names_are_remembered_as_may_be_and_the_rest_is_sent_again() {
    let mut state = state().with_at_most(2);
    let mut taken = 0;
    for (name, version) in [("a", "1"), ("b", "1"), ("c", "1"), ("b", "2")] {
        let answer = state.on_response(&response(Service, &[(name, version)], &[]), |_| {
            taken += 1;
            Ok(())
        });
        assert_eq!(answer.error_detail, None, "{name}");
    }
    assert_eq!((held(&state, Service), taken), (vec!["a".to_owned(), "b".to_owned()], 4));
    state.on_response(&response(Service, &[("d", "1")], &["a"]), |_| Ok(()));
    assert_eq!(held(&state, Service), ["b", "d"], "what goes makes room");
    let long = "x".repeat(2_000);
    state.on_response(&response(Service, &[(&long, "1")], &["b", "d"]), |_| Ok(()));
    assert!(held(&state, Service).is_empty());
}
