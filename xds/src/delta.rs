//! The server's side of one stream of the incremental variant, as a state machine without I/O or clock.
//!
//! Feed it requests and snapshots; take responses until there is none. The rules are those of the xDS protocol
//! (`envoy/docs/root/api-docs/xds_protocol.rst`) and of clients as they are:
//!
//! - What a client holds is compared by content version, so what it knows is never sent again, except when it asks.
//! - One unanswered response per type. Until the ACK or NACK, changes coalesce into a set of names, so a slow reader
//!   costs itself only, and state is bounded by the names it may hold. A request that subscribes shows that the client
//!   reads, and is answered without waiting.
//! - A Cluster and its Endpoints bear one name. After each Cluster sent, its Endpoints follow unasked, changed or not:
//!   Envoy warms the cluster with them and would wait 15 s for a new version otherwise.
//! - To empty a cluster, publish Endpoints without any endpoint: clients keep the last ones of a removed resource.
//! - Additions go before removals, in the orders of [`ResourceType`](crate::resource::ResourceType).
//!
//! All of that is [`stream`](crate::stream)'s, for both variants; here are the messages.

use std::ops::{Deref, DerefMut};

use crate::{
    proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node},
    stream::{
        self, Heard, Limits, Serves, SessionError, Variant,
        ask::Ask,
        front::{Content, Front, Outgoing},
    },
    view::Resources,
};

#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
mod tests;

/// One stream.
#[derive(Debug)]
pub struct Session(stream::Session);

// === impl Session ===

impl Session {
    /// A stream on which nothing was said yet.
    pub fn new(limits: Limits) -> Self {
        Self::of(limits, Serves::default())
    }
}

impl Front for Session {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn of(limits: Limits, serves: Serves) -> Self {
        Self(stream::Session::of(Variant::Delta, limits, serves))
    }

    fn node(request: &DeltaDiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }

    fn asks_for(request: &DeltaDiscoveryRequest) -> (&str, usize) {
        (&request.type_url, request.resource_names_subscribe.len())
    }

    fn on_request(
        &mut self,
        request: &DeltaDiscoveryRequest,
        resources: &impl Resources,
    ) -> Result<Heard, SessionError> {
        let ask = Ask {
            node: request.node.as_ref(),
            type_url: &request.type_url,
            subscribe: &request.resource_names_subscribe,
            unsubscribe: &request.resource_names_unsubscribe,
            known: &request.initial_resource_versions,
            has_taken: false,
            nonce: &request.response_nonce,
            error: request.error_detail.as_ref(),
            variant: Variant::Delta,
        };
        self.0.on_ask(ask, resources)
    }

    fn next_outgoing(&mut self, resources: &impl Resources) -> Option<Outgoing<DeltaDiscoveryResponse>> {
        let answer = self.0.next_answer(resources)?;
        let response = DeltaDiscoveryResponse {
            system_version_info: answer.ty.map(|_| answer.revision.to_string()).unwrap_or_default(),
            resources: Vec::new(),
            type_url: answer.type_url,
            nonce: answer.nonce.to_string(),
            removed_resources: answer.push.removed.iter().map(ToString::to_string).collect(),
        };
        Some(Outgoing { response, resources: answer.push.resources })
    }

    fn whole(outgoing: Outgoing<DeltaDiscoveryResponse>) -> DeltaDiscoveryResponse {
        DeltaDiscoveryResponse { resources: outgoing.resources.to_vec(), ..outgoing.response }
    }

    fn content(outgoing: &Outgoing<DeltaDiscoveryResponse>) -> Content<'_> {
        outgoing.content(&outgoing.response.type_url, outgoing.response.removed_resources.len())
    }
}

impl Deref for Session {
    type Target = stream::Session;

    fn deref(&self) -> &stream::Session {
        &self.0
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut stream::Session {
        &mut self.0
    }
}
