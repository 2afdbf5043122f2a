//! A client that knows nothing of the implementation: what it holds must be what the catalog has.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use crate::{
    known,
    proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource as Wrapper, Status},
    resource::ResourceType,
};

/// A client as the protocol describes it. It drops what it asks for again, which it may.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) types: BTreeMap<ResourceType, Interest>,
    /// Versions it refused: type, name, version.
    pub(crate) refused: BTreeSet<(ResourceType, String, String)>,
    /// When a cluster or its endpoints last came on this stream.
    pub(crate) seen: BTreeMap<(ResourceType, String), usize>,
    clock: usize,
}

#[derive(Default)]
pub(crate) struct Interest {
    asked: bool,
    wildcard: bool,
    names: BTreeSet<String>,
    pub(crate) holds: BTreeMap<String, String>,
}

// === impl Client ===

impl Client {
    pub(crate) fn subscribe(&mut self, ty: ResourceType, names: &[&str]) -> DeltaDiscoveryRequest {
        let interest = self.types.entry(ty).or_default();
        let again = interest.wildcard;
        interest.wildcard |= names.contains(&"*") || (!interest.asked && names.is_empty());
        interest.asked = true;
        for name in names {
            match *name {
                // For a first star the server counts on what is held by name.
                "*" if again => interest.holds.clear(),
                "*" => {}
                name => {
                    interest.names.insert(name.to_owned());
                    interest.holds.remove(name);
                }
            }
        }
        request(ty, names, &[])
    }

    pub(crate) fn unsubscribe(&mut self, ty: ResourceType, names: &[&str]) -> Option<DeltaDiscoveryRequest> {
        let interest = self.types.get_mut(&ty).filter(|interest| interest.asked)?;
        for name in names {
            match *name {
                "*" => {
                    interest.wildcard = false;
                    let names = &interest.names;
                    interest.holds.retain(|name, _| names.contains(name));
                }
                name => {
                    if interest.names.remove(name) || !interest.wildcard {
                        interest.holds.remove(name);
                    }
                }
            }
        }
        Some(request(ty, &[], names))
    }

    pub(crate) fn read(&mut self, response: &DeltaDiscoveryResponse, accept: bool) -> DeltaDiscoveryRequest {
        let ty = ResourceType::from_type_url(&response.type_url).expect("served");
        let interest = self.types.entry(ty).or_default();
        for wire in &response.resources {
            let wrapper = Wrapper::decode(wire.clone()).expect("a Resource");
            self.clock += 1;
            self.seen.insert((ty, wrapper.name.clone()), self.clock);
            if !accept {
                self.refused.insert((ty, wrapper.name, wrapper.version));
            } else if interest.wants(&wrapper.name) {
                interest.holds.insert(wrapper.name, wrapper.version);
            }
        }
        response.removed_resources.iter().for_each(|name| _ = interest.holds.remove(name));
        let error_detail = (!accept).then(|| Status { code: 3, message: "refused".to_owned() });
        let (type_url, response_nonce) = (response.type_url.clone(), response.nonce.clone());
        DeltaDiscoveryRequest { type_url, response_nonce, error_detail, ..DeltaDiscoveryRequest::default() }
    }

    pub(crate) fn reconnect(&mut self) -> Vec<DeltaDiscoveryRequest> {
        self.seen.clear();
        let mut requests = Vec::new();
        for (ty, interest) in &mut self.types {
            let mut names: Vec<_> = interest.names.iter().map(String::as_str).collect();
            names.extend(interest.wildcard.then_some("*"));
            interest.asked = !names.is_empty();
            if interest.asked {
                let initial_resource_versions =
                    interest.holds.iter().map(|(name, version)| known::entry(name, version)).collect();
                requests.push(DeltaDiscoveryRequest { initial_resource_versions, ..request(*ty, &names, &[]) });
            }
        }
        requests
    }
}

// === impl Interest ===

impl Interest {
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }
}

fn request(ty: ResourceType, subscribe: &[&str], unsubscribe: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: ty.type_url().to_owned(),
        resource_names_subscribe: subscribe.iter().map(ToString::to_string).collect(),
        resource_names_unsubscribe: unsubscribe.iter().map(ToString::to_string).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}
