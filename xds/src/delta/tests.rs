//! Each rule of the protocol by its name. The tables share one small world: a cache, a stream, and what was said.

use prost::Message;

use super::Session;
use crate::{
    cache::Cache,
    known,
    proto::discovery::{DeltaDiscoveryRequest, Node, Resource as Wrapper, Status},
    resource::{Resource, ResourceType, Version},
    stream::{Front, Heard, Limits, SessionError},
};

mod limits;
mod order;
mod reconnect;
mod subscribe;
mod window;

/// A cache and one stream to it.
struct World {
    cache: Cache,
    session: Session,
}

/// A response, in short.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    type_url: String,
    /// `name=body`, or `-name` for a removal.
    what: Vec<String>,
    nonce: String,
}

impl World {
    /// A world in which `names` exist, each with body "1".
    fn with(ty: ResourceType, names: &[&str]) -> Self {
        let mut world = Self { cache: Cache::new(), session: Session::new(Limits::default()) };
        names.iter().for_each(|name| world.write(ty, name, "1"));
        world
    }

    fn write(&mut self, ty: ResourceType, name: &str, body: &str) {
        self.cache.upsert(ty, Resource::from_body(ty, name, body.as_bytes().to_vec()));
        let snapshot = self.cache.publish();
        self.session.on_snapshot(&*snapshot);
    }

    fn remove(&mut self, ty: ResourceType, name: &str) {
        assert!(self.cache.remove(ty, name), "{name} was not there");
        let snapshot = self.cache.publish();
        self.session.on_snapshot(&*snapshot);
    }

    fn ask(&mut self, request: DeltaDiscoveryRequest) -> Result<Heard, SessionError> {
        self.session.on_request(&request, &**self.cache.published())
    }

    fn next(&mut self) -> Option<Said> {
        let response = self.session.next_response(&**self.cache.published())?;
        let read = |wire: bytes::Bytes| {
            let wrapper = Wrapper::decode(wire).expect("a Resource");
            let body = wrapper.resource.expect("has content").value;
            assert_eq!(wrapper.version, Version::of(&body).to_string());
            format!("{}={}", wrapper.name, String::from_utf8_lossy(&body))
        };
        let removed = response.removed_resources.iter().map(|name| format!("-{name}"));
        let what = response.resources.into_iter().map(read).chain(removed).collect();
        Some(Said { type_url: response.type_url, what, nonce: response.nonce })
    }

    /// Takes the next response without acknowledging it, and returns what it said.
    fn hear(&mut self) -> Vec<String> {
        self.next().expect("a response is due").what
    }

    /// Takes and acknowledges everything that is due.
    fn drain(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(said) = self.next() {
            self.ask(ack(&said)).expect("an ACK is fine");
            all.extend(said.what);
        }
        all
    }
}

fn request(ty: ResourceType) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: ty.type_url().to_owned(), ..DeltaDiscoveryRequest::default() }
}

fn subscribe(ty: ResourceType, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { resource_names_subscribe: strings(names), ..request(ty) }
}

fn unsubscribe(ty: ResourceType, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { resource_names_unsubscribe: strings(names), ..request(ty) }
}

/// `base`, from a client that holds these bodies.
fn knowing(base: DeltaDiscoveryRequest, held: &[(&str, &str)]) -> DeltaDiscoveryRequest {
    let version = |body: &str| Version::of(body.as_bytes()).to_string();
    let initial_resource_versions = held.iter().map(|(name, body)| known::entry(name, &version(body))).collect();
    DeltaDiscoveryRequest { initial_resource_versions, ..base }
}

fn ack(said: &Said) -> DeltaDiscoveryRequest {
    let (type_url, response_nonce) = (said.type_url.clone(), said.nonce.clone());
    DeltaDiscoveryRequest { type_url, response_nonce, ..DeltaDiscoveryRequest::default() }
}

fn nack(said: &Said, message: &str) -> DeltaDiscoveryRequest {
    let error_detail = Some(Status { code: 3, message: message.to_owned() });
    DeltaDiscoveryRequest { error_detail, ..ack(said) }
}

fn node(id: &str, base: DeltaDiscoveryRequest) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { node: Some(Node { id: id.to_owned(), ..Node::default() }), ..base }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
