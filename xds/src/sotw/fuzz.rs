//! Requests of nonsense, many of them: what a stream is told never panics, and never makes it keep more than it may.
//!
//! Each run takes requests that clients send and damages their bytes, as they would be on the wire. `PROPTEST_CASES` says how many
//! there are.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};
use prost::Message;

use crate::{
    asking::Serves,
    cache::{Cache, Snapshot},
    delta, known,
    proto::discovery::{DeltaDiscoveryRequest, DiscoveryRequest, Node, Status},
    resource::{Resource, ResourceType},
    sotw,
    stream::{Front, Limits},
};

/// What is done to the bytes of a request.
#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Repeat(usize, usize),
    Swap(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, with)| Damage::Flip(at, with)),
        1 => any::<usize>().prop_map(Damage::Cut),
        1 => (any::<usize>(), 1..40usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Damage::Swap(a, b)),
    ]
}

// === impl Damage ===

impl Damage {
    fn to(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match *self {
            Self::Flip(at, with) => bytes[at % len] ^= with,
            Self::Cut(at) => bytes.truncate(at % len),
            Self::Repeat(at, count) => {
                let at = at % len;
                let again = bytes[at..(at + count).min(len)].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Swap(a, b) => bytes.swap(a % len, b % len),
        }
    }
}

fn catalog() -> Arc<Snapshot> {
    let mut cache = Cache::new();
    for ty in [ResourceType::Cluster, ResourceType::Endpoints, ResourceType::Service] {
        for name in ["a", "b", "c"] {
            cache.upsert(ty, Resource::from_body(ty, name, name.as_bytes().to_vec()));
        }
    }
    cache.publish()
}

fn limits() -> Limits {
    Limits::default()
}

/// Plays requests whose bytes may be damaged. What cannot be decoded a server never sees, and one that is refused ends its stream.
fn play<F: Front>(requests: &[(F::Request, Vec<Damage>)]) {
    let resources = catalog();
    let mut front = F::of(limits(), Serves::Catalog);
    for (request, damages) in requests {
        let mut bytes = request.encode_to_vec();
        damages.iter().for_each(|damage| damage.to(&mut bytes));
        let Ok(request) = F::Request::decode(&*bytes) else { continue };
        if let Err(error) = front.on_request(&request, &*resources) {
            assert!(error.to_string().len() > 10, "{error} says nothing");
            front = F::of(limits(), Serves::Catalog);
            continue;
        }
        assert!(front.asked_bytes() <= limits().asked_bytes_max, "{} bytes are held", front.asked_bytes());
        let responses = std::iter::from_fn(|| front.next_response(&*resources)).take(1_000).count();
        assert!(responses < 1_000, "one request is answered without end");
    }
}

const TYPES: [&str; 5] = [
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "type.googleapis.com/envoy.config.listener.v3.Listener",
    "type.googleapis.com/rollcall.v1.Service",
    "type.googleapis.com/nothing.that.is.Known",
];

fn names() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![Just("a".to_owned()), Just("*".to_owned()), Just("none".to_owned()), ".{0,300}"];
    vec(name, 0..6)
}

fn node() -> impl Strategy<Value = Option<Node>> {
    proptest::option::of(("[a-z]{0,9}", "(gRPC|envoy)?").prop_map(|(id, user_agent_name)| Node {
        id,
        user_agent_name,
        ..Node::default()
    }))
}

fn error() -> impl Strategy<Value = Option<Status>> {
    proptest::option::weighted(0.2, ".{0,2000}".prop_map(|message| Status { code: 3, message }))
}

proptest! {
    #[test]
    fn nonsense_in_the_incremental_variant_ends_a_stream_or_is_taken(requests in vec(
        (0..TYPES.len(), names(), names(), vec((".{0,40}", "[0-9a-f]{0,17}"), 0..4), 0..6u8, node(), error(), vec(damage(), 0..4)),
        1..12,
    )) {
        let of = |(ty, subscribe, unsubscribe, known, nonce, node, error_detail, damages): (usize, _, _, Vec<_>, u8, _, _, _)| {
            let request = DeltaDiscoveryRequest {
                node,
                type_url: TYPES[ty].to_owned(),
                resource_names_subscribe: subscribe,
                resource_names_unsubscribe: unsubscribe,
                initial_resource_versions: known.iter().map(|(name, version): &(String, String)| known::entry(name, version)).collect(),
                response_nonce: nonce.to_string(),
                error_detail,
            };
            (request, damages)
        };
        play::<delta::Session>(&requests.into_iter().map(of).collect::<Vec<_>>());
    }

    #[test]
    fn nonsense_in_the_state_of_the_world_ends_a_stream_or_is_taken(requests in vec(
        (0..TYPES.len(), names(), "[0-9a-f]{0,17}", 0..6u8, node(), error(), vec(damage(), 0..4)),
        1..12,
    )) {
        let of = |(ty, resource_names, version_info, nonce, node, error_detail, damages): (usize, _, _, u8, _, _, _)| {
            let request = DiscoveryRequest {
                node,
                type_url: TYPES[ty].to_owned(),
                resource_names,
                version_info,
                response_nonce: nonce.to_string(),
                error_detail,
            };
            (request, damages)
        };
        play::<sotw::Session>(&requests.into_iter().map(of).collect::<Vec<_>>());
    }
}
