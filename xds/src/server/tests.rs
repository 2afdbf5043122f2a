//! Tests: gRPC around `crate::delta`.

use prost::Message;

use super::*;
use crate::{
    delta, known,
    proto::discovery::DeltaDiscoveryRequest,
    resource::{ResourceType, Version},
};

/// The longest name of a namespace or a Service.
fn label(n: usize) -> String {
    format!("{n:063}")
}

/// The first request of a client that comes back: all it is subscribed to, and all it holds.
fn hello(ty: ResourceType, subscribed: Vec<String>, held: impl Iterator<Item = String>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: ty.type_url().to_owned(),
        resource_names_subscribe: subscribed,
        initial_resource_versions: held.map(|name| known::entry(&name, &Version::of(b"a body").to_string())).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// docs/sizing.md: a DNS server is good for 30,000 services, a controller for 20,000.
#[test]
fn clients_of_the_largest_catalog_with_the_longest_names_may_come_back() {
    let buckets = (0..30_000).map(|n| format!("{}/{}/1/0", label(n), label(n)));
    let dns_server = hello(ResourceType::EndpointBucket, vec!["*".to_owned()], buckets);
    let clusters: Vec<_> = (0..20_000).map(|n| format!("{}.{}:fifteen-letters", label(n), label(n))).collect();
    let envoy = hello(ResourceType::Endpoints, clusters.clone(), clusters.into_iter());
    for request in [dns_server, envoy] {
        let bytes = request.encoded_len();
        assert!(bytes < Server::REQUEST_BYTES_MAX, "{} of {bytes} bytes", request.type_url);
        delta::Session::new(stream::Limits::default())
            .on_request(&request, &*crate::cache::Cache::new().publish())
            .expect("within the limits");
    }
}

#[test]
fn what_a_stranger_can_fill_is_bounded_however_many_connections_and_streams() {
    let memory = Memory::default();
    assert!(Server::REQUEST_BYTES_MAX < memory.arriving_per_peer_max, "the largest request finds room");
    assert!(memory.arriving_per_peer_max + memory.asked_per_peer_max + memory.leaving_per_peer_max <= 64 << 20);
}
