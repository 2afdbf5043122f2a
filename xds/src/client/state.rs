use std::{collections::HashMap, sync::Arc};

use prost::Message;

use super::{Update, Upsert};
use crate::{
    proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node, Resource, Status},
    resource::{PerType, ResourceType},
};

#[cfg(test)]
mod tests;

/// What the client has accepted, and what it says to a server. Outlives streams.
#[derive(Debug)]
pub(super) struct State {
    node_id: String,
    types: Vec<ResourceType>,
    held: PerType<HashMap<Arc<str>, Arc<str>>>,
}

// === impl State ===

impl State {
    pub(super) fn new(node_id: String, types: Vec<ResourceType>) -> Self {
        Self { node_id, types, held: PerType::default() }
    }

    /// The first requests of a stream: one per type, each with the versions held (xDS protocol: `node` and
    /// `initial_resource_versions` belong to the first request).
    pub(super) fn hello(&self) -> impl Iterator<Item = DeltaDiscoveryRequest> {
        self.types.iter().map(|ty| DeltaDiscoveryRequest {
            node: Some(Node { id: self.node_id.clone(), ..Node::default() }),
            type_url: ty.type_url().to_owned(),
            resource_names_subscribe: vec!["*".to_owned()],
            initial_resource_versions: self.versions(*ty),
            ..DeltaDiscoveryRequest::default()
        })
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
            .filter(|ty| self.types.contains(ty))
            .ok_or_else(|| format!("type {:?} was not asked for", response.type_url))?;
        let held = &mut self.held[ty];
        let update = read(ty, response)?;
        let versions: Vec<_> = update.upserts.iter().map(|new| (new.name.clone(), new.version.clone())).collect();
        let removed = update.removed.clone();
        sink(update)?;
        removed.iter().for_each(|name| drop(held.remove(name)));
        held.extend(versions);
        Ok(())
    }

    fn versions(&self, ty: ResourceType) -> HashMap<String, String> {
        self.held[ty].iter().map(|(name, version)| (name.to_string(), version.to_string())).collect()
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
    if body.type_url != ty.type_url() {
        return Err(format!("resource {:?} is of type {:?}, not {:?}", resource.name, body.type_url, ty.type_url()));
    }
    Ok(Upsert { name: resource.name.into(), version: resource.version.into(), value: body.value })
}
