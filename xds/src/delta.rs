//! The server's side of one delta ADS stream, as a state machine without I/O or clock.
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
//! - Additions go before removals, in the orders of [`ResourceType`].

use std::sync::Arc;

use crate::{
    cache::Changes,
    proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
    resource::{PerType, ResourceType},
    stream::{
        Limits, Nonce, Rejection, SessionError,
        order::{self, Due, Turn},
        queue::Why,
        warming::Warming,
    },
    view::Resources,
};

mod check;
mod heard;
mod subscription;
mod unserved;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use self::heard::Heard;
use self::{subscription::Subscription, unserved::Unserved};

/// Longest `node.id` kept, in characters. A pod's name has 253.
const NODE_ID_CHARS_MAX: usize = 256;

/// One stream.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    serves: Serves,
    node_id: Box<str>,
    /// The snapshot that the subscriptions were last compared with.
    revision: u64,
    last_nonce: Nonce,
    subscriptions: PerType<Option<Box<Subscription>>>,
    unserved: Unserved,
    /// What responses say of names that only the client speaks of, in bytes: until it speaks again, they may be unread.
    unread_bytes: usize,
    warming: Warming,
    coalesced: PerType<u64>,
}

/// Which types a stream is for. Others are as if there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serves {
    /// What callers and those who answer them read.
    #[default]
    Catalog,
    /// What replicas tell each other.
    Replicas,
}

// === impl Serves ===

impl Serves {
    fn has(self, ty: ResourceType) -> bool {
        ResourceType::BETWEEN_REPLICAS.contains(&ty) == (self == Self::Replicas)
    }
}

// === impl Session ===

impl Session {
    /// A stream on which nothing was said yet.
    pub fn new(limits: Limits) -> Self {
        Self::of(limits, Serves::default())
    }

    /// The same, of these types.
    pub fn of(limits: Limits, serves: Serves) -> Self {
        Self {
            limits,
            serves,
            node_id: Box::default(),
            revision: 0,
            last_nonce: Nonce::default(),
            subscriptions: PerType::default(),
            unserved: Unserved::default(),
            unread_bytes: 0,
            warming: Warming::default(),
            coalesced: PerType::default(),
        }
    }

    /// Takes a request in. What it asks for comes from [`next_response`](Self::next_response).
    ///
    /// # Errors
    /// When the request is malformed or beyond the limits. The stream should end with that error.
    pub fn on_request(
        &mut self,
        request: &DeltaDiscoveryRequest,
        resources: &impl Resources,
    ) -> Result<Heard, SessionError> {
        check::check(&self.limits, request)?;
        self.unread_bytes = 0;
        self.on_snapshot(resources);
        if let Some(node) = request.node.as_ref().filter(|_| self.node_id.is_empty()) {
            self.node_id = node.id.chars().take(NODE_ID_CHARS_MAX).collect();
        }
        let ty = ResourceType::from_type_url(&request.type_url);
        let Some(ty) = ty.filter(|ty| self.serves.has(*ty)) else {
            let heard = self.unserved.on_request(request, &self.limits)?;
            self.limits.check_bytes(self.asked_bytes())?;
            return Ok(heard);
        };
        let heard = self.hear(ty, request);
        self.subscribe(ty, request, resources);
        self.limits.check_stream(self.names())?;
        self.limits.check_bytes(self.asked_bytes())?;
        Ok(heard)
    }

    /// Notes what changed up to `snapshot`. Snapshots must come in the order of their revisions.
    pub fn on_snapshot(&mut self, resources: &impl Resources) {
        if self.is_new() {
            self.revision = resources.revision();
        }
        match resources.changes_since(self.revision) {
            Changes::None => return,
            Changes::Keys(keys) => keys.for_each(|(ty, name)| self.on_change(*ty, name, resources)),
            Changes::Resync => {
                let subscriptions = self.subscriptions.iter_mut();
                subscriptions.flat_map(|(ty, sub)| Some((ty, sub.as_mut()?))).for_each(|(ty, sub)| {
                    sub.compare(ty, resources, Why::Changed);
                });
                self.warm_all(resources);
            }
        }
        self.revision = resources.revision();
    }

    /// The next response to write, or none until something changes or is heard.
    pub fn next_response(&mut self, resources: &impl Resources) -> Option<DeltaDiscoveryResponse> {
        self.on_snapshot(resources);
        if let Some((refusal, bytes)) = self.unserved.next_response() {
            self.unread_bytes += bytes;
            return Some(DeltaDiscoveryResponse { nonce: self.last_nonce.advance().to_string(), ..refusal });
        }
        let due = PerType::from_fn(|ty| self.subscriptions[ty].as_ref().map_or_else(Due::default, |sub| sub.due()));
        self.respond(order::next(&due)?, resources)
    }

    /// Whether nothing was asked for yet: what it sees may still be decided.
    pub fn is_new(&self) -> bool {
        self.subscriptions.iter().all(|(_, sub)| sub.is_none())
    }

    /// The `node.id` of the first request that bore one, or nothing.
    pub fn node_id(&self) -> &str {
        &self.node_id
    }

    /// The last response of that type that the client rejected.
    pub fn last_rejection(&self, ty: ResourceType) -> Option<&Rejection> {
        self.subscriptions[ty].as_ref()?.last_rejection.as_ref()
    }

    /// Memory that is held for the sake of this client alone, in bytes; see [`Limits::asked_bytes_max`].
    pub fn asked_bytes(&self) -> usize {
        let subscriptions = self.subscriptions.iter().filter_map(|(_, sub)| Some(sub.as_ref()?.asked_bytes()));
        subscriptions.sum::<usize>() + self.unserved.bytes() + self.unread_bytes
    }

    /// How many changes were merged into one that had not been sent yet.
    pub fn coalesced(&self) -> &PerType<u64> {
        &self.coalesced
    }

    /// How many resources of that type the client holds, as far as it was sent them.
    pub fn held(&self, ty: ResourceType) -> usize {
        self.subscriptions[ty].as_ref().map_or(0, |sub| sub.held())
    }

    /// ACK and NACK are told by `response_nonce` and `error_detail`. A nonce that is not ours, as after a reconnect, says
    /// nothing, but the subscription changes beside it count (xDS protocol, incremental variant).
    fn hear(&mut self, ty: ResourceType, request: &DeltaDiscoveryRequest) -> Heard {
        let heard = Heard::of(request, self.last_nonce);
        if let Some(sub) = &mut self.subscriptions[ty] {
            sub.hear(&heard);
        }
        heard
    }

    fn subscribe(&mut self, ty: ResourceType, request: &DeltaDiscoveryRequest, resources: &impl Resources) {
        let first = self.subscriptions[ty].is_none();
        match &mut self.subscriptions[ty] {
            Some(sub) => sub.update(ty, request, resources),
            none => *none = Some(Box::new(Subscription::open(ty, request, resources))),
        }
        if ty == ResourceType::Cluster && !request.resource_names_unsubscribe.is_empty() {
            let sub = self.subscriptions[ty].as_ref();
            self.warming.retain(|name| sub.is_some_and(|sub| sub.wants(name)));
        }
        if ty == ResourceType::Endpoints && (first || !request.resource_names_subscribe.is_empty()) {
            // Clusters may have been sent before the client listened to their endpoints, as on every reconnect.
            self.warm_all(resources);
        }
    }

    fn names(&self) -> usize {
        self.subscriptions.iter().filter_map(|(_, sub)| Some(sub.as_ref()?.names())).sum()
    }

    fn on_change(&mut self, ty: ResourceType, name: &Arc<str>, resources: &impl Resources) {
        let Some(sub) = self.subscriptions[ty].as_mut().filter(|sub| sub.wants(name)) else { return };
        self.coalesced[ty] += u64::from(sub.touch(name, resources.get(ty, name).as_deref(), Why::Changed));
        if ty == ResourceType::Endpoints && self.warming.contains(name) {
            self.warm(std::slice::from_ref(name), resources); // back as they were, but after a new cluster
        }
    }

    fn respond(&mut self, turn: Turn, resources: &impl Resources) -> Option<DeltaDiscoveryResponse> {
        let ty = turn.ty;
        let nonce = self.last_nonce.advance();
        let push = self.subscriptions[ty].as_mut()?.take(ty, resources, turn.with_removals, nonce);
        if ty == ResourceType::Cluster {
            self.warm(&push.sent, resources);
        }
        self.warming.sent(ty, &push.sent, &push.removed);
        self.unread_bytes += push.asked_bytes;
        Some(DeltaDiscoveryResponse {
            system_version_info: resources.revision().to_string(),
            resources: push.resources,
            type_url: ty.type_url().to_owned(),
            nonce: nonce.to_string(),
            removed_resources: push.removed.iter().map(ToString::to_string).collect(),
        })
    }

    /// Queues the Endpoints of those clusters, as far as they exist and the client listens to them.
    fn warm(&mut self, clusters: &[Arc<str>], resources: &impl Resources) {
        let Some(sub) = &mut self.subscriptions[ResourceType::Endpoints] else { return };
        for name in clusters {
            if let Some(endpoints) = resources.get(ResourceType::Endpoints, name).filter(|_| sub.wants(name)) {
                sub.touch(name, Some(&endpoints), Why::Asked);
            }
        }
    }

    fn warm_all(&mut self, resources: &impl Resources) {
        self.warm(&self.warming.names(), resources);
    }
}
