//! What clients of a stream may say, as bytes; and what must hold whatever they say: nothing panics, what is held for them stays
//! within its bound, a request is answered to its end, and a stream that is refused says why.
//!
//! The bytes are records: a letter, and what it takes. The fuzz targets play them, and the tests of `rollcall-xds` the corpus.

use std::sync::Arc;

use prost::Message;
use rollcall_xds::{
    cache::{Cache, Snapshot},
    delta,
    proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse},
    resource::{Resource, ResourceType},
    sotw,
    stream::{Front, Limits, Serves},
};

/// A request: its length in two bytes, and it. What cannot be decoded a server never sees.
const REQUEST: u8 = b'r';
/// A resource is written, or removed: a byte says which.
const CHANGE: u8 = b'c';
/// The client answers what it was told, as it should; so it does from now on, or no more.
const ANSWERS: u8 = b'a';
/// It comes back on a new stream.
const RETURN: u8 = b'n';

/// What a client says to a response.
type Answer<F> = fn(&<F as Front>::Response) -> <F as Front>::Request;

/// Responses to one thing that happened; more would be without end.
const RESPONSES_MAX: usize = 1_000;

/// Of the incremental variant.
pub(crate) fn delta(data: &[u8]) {
    play::<delta::Session>(data, |response: &DeltaDiscoveryResponse| DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        ..DeltaDiscoveryRequest::default()
    });
}

/// Of the state of the world. An answer names nothing any more.
pub(crate) fn world(data: &[u8]) {
    play::<sotw::Session>(data, |response: &DiscoveryResponse| DiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        version_info: response.version_info.clone(),
        ..DiscoveryRequest::default()
    });
}

fn play<F: Front>(mut data: &[u8], answer: Answer<F>) {
    let (mut cache, limits) = (Cache::with_ring(8), Limits::default());
    for which in 0..9 {
        change(&mut cache, which);
    }
    let mut snapshot = cache.publish();
    let (mut front, mut answers) = (F::of(limits, Serves::Catalog), true);
    while let Some((op, rest)) = data.split_first() {
        data = rest;
        match *op {
            REQUEST => {
                let Some((len, rest)) = rest.split_first_chunk() else { return };
                let (body, rest) = rest.split_at(rest.len().min(u16::from_be_bytes(*len).into()));
                data = rest;
                let Ok(request) = F::Request::decode(body) else { continue };
                if let Err(error) = front.on_request(&request, &*snapshot) {
                    assert!(error.to_string().len() > 10, "{error} says nothing");
                    front = F::of(limits, Serves::Catalog);
                }
            }
            CHANGE => {
                let Some((which, rest)) = rest.split_first() else { return };
                data = rest;
                change(&mut cache, *which);
                snapshot = cache.publish();
                front.on_snapshot(&*snapshot);
            }
            ANSWERS => answers = !answers,
            RETURN => front = F::of(limits, Serves::Catalog),
            _ => continue,
        }
        respond(&mut front, &snapshot, answers.then_some(answer));
        assert!(front.asked_bytes() <= limits.asked_bytes_max, "{} bytes are held", front.asked_bytes());
    }
}

/// Takes all that is to be said.
fn respond<F: Front>(front: &mut F, snapshot: &Arc<Snapshot>, answer: Option<Answer<F>>) {
    for _ in 0..RESPONSES_MAX {
        let Some(response) = front.next_response(&**snapshot) else { return };
        if let Some(answer) = answer
            && let Err(error) = front.on_request(&answer(&response), &**snapshot)
        {
            panic!("an answer as it should be is refused: {error}");
        }
    }
    panic!("one thing that happened is answered without end");
}

fn change(cache: &mut Cache, which: u8) {
    const TYPES: [ResourceType; 3] = [ResourceType::Cluster, ResourceType::Endpoints, ResourceType::Service];
    const NAMES: [&str; 3] = ["a", "b", "xdstp://shop/envoy.config.cluster.v3.Cluster/c"];
    let (ty, name) = (TYPES[usize::from(which) % 3], NAMES[usize::from(which) / 3 % 3]);
    match which / 9 {
        body @ 0..20 => _ = cache.upsert(ty, Resource::from_body(ty, name, format!("{name} {body}").into_bytes())),
        _ => _ = cache.remove(ty, name),
    }
}
