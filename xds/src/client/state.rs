//! What the client has accepted, and what it says to a server.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use prost::Message;

use super::{Known, Names, Update, Upsert};
use crate::{
    known,
    proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node, Resource, Status},
    resource::{PerType, ResourceType},
};

#[cfg(test)]
mod tests;

/// What the client has accepted, and what it says to a server. Outlives streams.
#[derive(Debug)]
pub(super) struct State {
    node_id: String,
    /// Subscribed to as a whole, in this order.
    types: Vec<ResourceType>,
    /// Subscribed to by name.
    names: PerType<BTreeSet<Arc<str>>>,
    /// Types of which names were wanted at some time: the last answers may come after the last name was given up.
    asked: PerType<bool>,
    /// Names and versions that count as accepted, as many of each type as are remembered.
    held: PerType<HashMap<Arc<str>, Arc<str>>>,
    held_max: usize,
}

/// Bytes of a name, and of a version, that are remembered.
const TEXT_MAX: usize = 1_024;

// === impl State ===

impl State {
    pub(super) fn new(node_id: String, types: Vec<ResourceType>, names: &Names) -> Self {
        let names = PerType::from_fn(|ty| names.get(&ty).cloned().unwrap_or_default());
        let asked = PerType::from_fn(|ty| types.contains(&ty) || !names[ty].is_empty());
        Self { node_id, types, names, asked, held: PerType::default(), held_max: usize::MAX }
    }

    /// Remembers no more names of each type than these. What is not remembered is sent again by the next server.
    pub(super) fn with_at_most(mut self, held_max: usize) -> Self {
        self.held_max = held_max;
        self
    }

    /// Counts resources as accepted that came by another way: type, then name and version.
    pub(super) fn with_known(mut self, known: Known) -> Self {
        known.into_iter().for_each(|(ty, versions)| self.held[ty].extend(versions));
        self
    }

    /// The first requests of a stream: one per type, each with the versions held (xDS protocol: `node` and
    /// `initial_resource_versions` belong to the first request). A type of which nothing is wanted is not spoken of: a first
    /// request without names would be for all.
    pub(super) fn hello(&self) -> impl Iterator<Item = DeltaDiscoveryRequest> {
        let by_name =
            ResourceType::ALL.into_iter().filter(|ty| !self.types.contains(ty) && !self.names[*ty].is_empty());
        self.types.iter().copied().chain(by_name).map(|ty| {
            let star = self.types.contains(&ty).then(|| "*".to_owned());
            DeltaDiscoveryRequest {
                node: Some(Node { id: self.node_id.clone(), ..Node::default() }),
                type_url: ty.type_url().to_owned(),
                resource_names_subscribe: star
                    .into_iter()
                    .chain(self.names[ty].iter().map(ToString::to_string))
                    .collect(),
                initial_resource_versions: self.versions(ty),
                ..DeltaDiscoveryRequest::default()
            }
        })
    }

    /// Other names are wanted: what to say on a stream that is open.
    pub(super) fn on_names(&mut self, names: &Names) -> Vec<DeltaDiscoveryRequest> {
        let mut requests = Vec::new();
        for ty in ResourceType::ALL {
            let wanted = names.get(&ty).cloned().unwrap_or_default();
            let before = std::mem::replace(&mut self.names[ty], wanted);
            let more: Vec<_> = self.names[ty].difference(&before).map(ToString::to_string).collect();
            let less: Vec<_> = before.difference(&self.names[ty]).map(ToString::to_string).collect();
            self.asked[ty] |= !more.is_empty();
            if !self.types.contains(&ty) {
                less.iter().for_each(|name| drop(self.held[ty].remove(&**name)));
            }
            if !more.is_empty() || !less.is_empty() {
                requests.push(DeltaDiscoveryRequest {
                    node: Some(Node { id: self.node_id.clone(), ..Node::default() }),
                    type_url: ty.type_url().to_owned(),
                    resource_names_subscribe: more,
                    resource_names_unsubscribe: less,
                    ..DeltaDiscoveryRequest::default()
                });
            }
        }
        requests
    }

    /// Reads a response and offers it to `sink`. Returns the ACK, after which the versions count as held, or the NACK.
    pub(super) fn on_response(
        &mut self,
        response: &DeltaDiscoveryResponse,
        sink: impl FnOnce(Update) -> Result<(), String>,
    ) -> DeltaDiscoveryRequest {
        let result = self.accept(response, sink);
        let (type_url, response_nonce) = (response.type_url.clone(), response.nonce.clone());
        let error_detail = result.err().map(|message| Status { code: tonic::Code::InvalidArgument.into(), message });
        DeltaDiscoveryRequest { type_url, response_nonce, error_detail, ..DeltaDiscoveryRequest::default() }
    }

    fn accept(
        &mut self,
        response: &DeltaDiscoveryResponse,
        sink: impl FnOnce(Update) -> Result<(), String>,
    ) -> Result<(), String> {
        let ty = ResourceType::from_type_url(&response.type_url)
            .filter(|ty| self.asked[*ty])
            .ok_or_else(|| format!("type {:?} was not asked for", response.type_url))?;
        let update = read(ty, response)?;
        let versions: Vec<_> = update.upserts.iter().map(|new| (new.name.clone(), new.version.clone())).collect();
        let removed = update.removed.clone();
        sink(update)?;
        let held = &mut self.held[ty];
        removed.iter().for_each(|name| drop(held.remove(name)));
        // What came after its name was given up is forgotten: the next server is told what is wanted.
        let (whole, names) = (self.types.contains(&ty), &self.names[ty]);
        let kept = versions.into_iter().filter(|(name, _)| whole || names.contains(name));
        for (name, version) in kept {
            let room = held.len() < self.held_max;
            let short = name.len() <= TEXT_MAX && version.len() <= TEXT_MAX;
            match held.get_mut(&name) {
                Some(known) if short => *known = version,
                Some(_) => _ = held.remove(&name),
                None if short && room => _ = held.insert(name, version),
                None => {}
            }
        }
        Ok(())
    }

    fn versions(&self, ty: ResourceType) -> Vec<Bytes> {
        self.held[ty].iter().map(|(name, version)| known::entry(name, version)).collect()
    }
}

fn read(ty: ResourceType, response: &DeltaDiscoveryResponse) -> Result<Update, String> {
    let upserts = response.resources.iter().map(|wire| read_resource(ty, wire.clone())).collect::<Result<_, _>>()?;
    let removed = response.removed_resources.iter().map(|name| Arc::from(&**name)).collect();
    Ok(Update { ty, upserts, removed })
}

fn read_resource(ty: ResourceType, wire: bytes::Bytes) -> Result<Upsert, String> {
    let resource = Resource::decode(wire).map_err(|error| format!("resource of type {ty} cannot be read: {error}"))?;
    let body = resource.resource.ok_or_else(|| format!("resource {:?} has no content", resource.name))?;
    if body.type_url != ty.body_url() {
        return Err(format!("resource {:?} is of type {:?}, not {:?}", resource.name, body.type_url, ty.body_url()));
    }
    Ok(Upsert { name: resource.name.into(), version: resource.version.into(), value: body.value })
}
