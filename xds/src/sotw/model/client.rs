//! A client of the state of the world that knows nothing of the implementation.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use crate::{
    proto::discovery::{Any, DiscoveryRequest, DiscoveryResponse, Status},
    resource::{ResourceType, Version},
};

/// A client as the protocol describes it. What it no longer wants it drops at once.
#[derive(Default)]
pub(super) struct Client {
    pub(super) types: BTreeMap<ResourceType, Interest>,
    /// Types of which it refused something.
    pub(super) refused: BTreeSet<ResourceType>,
    /// When a cluster changed or its endpoints last came on this stream.
    pub(super) seen: BTreeMap<(ResourceType, String), usize>,
    clock: usize,
}

#[derive(Default)]
pub(super) struct Interest {
    asked: bool,
    wildcard: bool,
    /// The wildcard is said by saying nothing.
    legacy: bool,
    names: BTreeSet<String>,
    nonce: String,
    pub(super) holds: BTreeMap<String, Version>,
}

// === impl Client ===

impl Client {
    pub(super) fn subscribe(&mut self, ty: ResourceType, names: &[&str]) -> DiscoveryRequest {
        let interest = self.types.entry(ty).or_default();
        if !interest.asked && names.is_empty() {
            interest.wildcard = true;
            interest.legacy = ty.is_told_whole();
        }
        interest.asked = true;
        interest.legacy &= names.is_empty();
        interest.wildcard |= names.contains(&"*");
        interest.names.extend(names.iter().filter(|name| **name != "*").map(ToString::to_string));
        interest.request(ty)
    }

    pub(super) fn unsubscribe(&mut self, ty: ResourceType, names: &[&str]) -> Vec<DiscoveryRequest> {
        let interest = self.types.get_mut(&ty).filter(|interest| interest.asked);
        let Some(interest) = interest else { return Vec::new() };
        // Who has never named anything cannot say that it wants nothing, but after it has named the star.
        let leaves_legacy = interest.legacy && names.contains(&"*");
        interest.legacy &= !leaves_legacy;
        let mut requests = Vec::new();
        if leaves_legacy {
            requests.push(interest.request(ty));
        }
        for name in names {
            match *name {
                "*" => interest.wildcard = false,
                name => _ = interest.names.remove(name),
            }
        }
        let wanted = std::mem::take(&mut interest.holds);
        interest.holds = wanted.into_iter().filter(|(name, _)| interest.wants(name)).collect();
        requests.push(interest.request(ty));
        requests
    }

    pub(super) fn read(&mut self, response: &DiscoveryResponse, accept: bool) -> DiscoveryRequest {
        let ty = ResourceType::from_type_url(&response.type_url).expect("served");
        let interest = self.types.entry(ty).or_default();
        interest.nonce.clone_from(&response.nonce);
        let mut came = BTreeMap::new();
        for any in &response.resources {
            let any = Any::decode(any.clone()).expect("an Any");
            assert_eq!(any.type_url, response.type_url);
            let (name, body) = read_body(&any.value);
            assert!(came.insert(name, Version::of(body.as_bytes())).is_none(), "a name comes once");
        }
        for (name, version) in &came {
            self.clock += 1;
            let changed = ty != ResourceType::Cluster || interest.holds.get(name) != Some(version);
            if changed {
                self.seen.insert((ty, name.clone()), self.clock);
            }
        }
        if !accept {
            self.refused.insert(ty);
            let error_detail = Some(Status { code: 3, message: "refused".to_owned() });
            return DiscoveryRequest { error_detail, ..interest.request(ty) };
        }
        if ty.is_told_whole() {
            interest.holds.clear();
        }
        for error in &response.resource_errors {
            let name = &error.resource_name.as_ref().expect("about a name").name;
            interest.holds.remove(name);
        }
        let wanted = came.into_iter().filter(|(name, _)| interest.wants(name)).collect::<Vec<_>>();
        interest.holds.extend(wanted);
        interest.request(ty)
    }

    pub(super) fn reconnect(&mut self) -> Vec<DiscoveryRequest> {
        self.seen.clear();
        let mut requests = Vec::new();
        for (ty, interest) in &mut self.types {
            interest.nonce.clear();
            if !ty.is_told_whole() {
                // What went meanwhile no server can tell it, but by name.
                let names = &interest.names;
                interest.holds.retain(|name, _| names.contains(name));
            }
            interest.legacy = false;
            interest.asked = interest.wildcard || !interest.names.is_empty();
            if interest.asked {
                requests.push(interest.request(*ty));
            }
        }
        requests
    }
}

// === impl Interest ===

impl Interest {
    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    fn request(&self, ty: ResourceType) -> DiscoveryRequest {
        let star = self.wildcard && !self.legacy;
        let resource_names = self.names.iter().cloned().chain(star.then(|| "*".to_owned())).collect();
        let (type_url, response_nonce) = (ty.type_url().to_owned(), self.nonce.clone());
        DiscoveryRequest { type_url, response_nonce, resource_names, ..DiscoveryRequest::default() }
    }
}

/// In these histories a body is a name and a digit.
fn read_body(body: &[u8]) -> (String, String) {
    let body = String::from_utf8(body.to_vec()).expect("text");
    (body[..body.len() - 1].to_owned(), body)
}
