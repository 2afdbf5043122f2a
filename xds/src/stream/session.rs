//! One stream of either variant: what its client holds and is to be told, of every type.

use std::sync::Arc;

use super::{
    Heard, Holding, Limits, Nonce, Rejection, Serves, SessionError, Variant,
    ask::Ask,
    followers::Followers,
    order::{self, Due, Turn},
    queue::Why,
    shared::Held,
    subscription::{Push, Subscription, Telling},
    unserved::Unserved,
    warming::Warming,
};
use crate::{
    cache::Changes,
    name,
    proto::discovery::Node,
    resource::{PerType, ResourceType},
    view::Resources,
};

/// Longest `node.id` kept, in characters. A pod's name has 253.
const NODE_ID_CHARS_MAX: usize = 256;

/// One stream.
#[derive(Debug)]
pub struct Session {
    variant: Variant,
    limits: Limits,
    serves: Serves,
    node_id: Box<str>,
    /// The client reads `resource_errors` (cncf/xds TP3, gRFC A88).
    reads_errors: bool,
    /// The snapshot that the subscriptions were last compared with.
    revision: u64,
    last_nonce: Nonce,
    subscriptions: PerType<Option<Box<Subscription>>>,
    unserved: Unserved,
    /// What the client calls types that have several names: the names of those that it asks for by another than ours.
    called: Vec<(ResourceType, &'static str)>,
    /// What responses say of names that only the client speaks of, in bytes: until it speaks again, they may be unread.
    unread_bytes: usize,
    warming: Warming,
    followers: Followers,
    coalesced: PerType<u64>,
}

/// A response, whatever the variant.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) type_url: String,
    /// `None` when the type is not served.
    pub(crate) ty: Option<ResourceType>,
    pub(crate) nonce: Nonce,
    pub(crate) revision: u64,
    pub(crate) push: Push,
}

// === impl Session ===

impl Session {
    /// A stream on which nothing was said yet.
    pub(crate) fn of(variant: Variant, limits: Limits, serves: Serves) -> Self {
        Self {
            variant,
            limits,
            serves,
            node_id: Box::default(),
            reads_errors: false,
            revision: 0,
            last_nonce: Nonce::default(),
            subscriptions: PerType::default(),
            unserved: Unserved::default(),
            called: Vec::new(),
            unread_bytes: 0,
            warming: Warming::default(),
            followers: Followers::default(),
            coalesced: PerType::default(),
        }
    }

    /// Takes a request in. What it asks for comes from [`next_answer`](Self::next_answer).
    pub(crate) fn on_ask(&mut self, ask: Ask<'_>, resources: &impl Resources) -> Result<Heard, SessionError> {
        let ask = Ask { type_url: self.serves.type_url(ask.type_url)?, ..ask };
        ask.check(&self.limits)?;
        self.unread_bytes = 0;
        self.on_snapshot(resources);
        if let Some(node) = ask.node.filter(|_| self.node_id.is_empty()) {
            self.meet(node);
        }
        let ty = ResourceType::from_type_url(ask.type_url);
        let Some(ty) = ty.filter(|ty| self.serves.has(*ty)) else {
            let heard = self.unserved.on_ask(&ask, &self.limits)?;
            self.limits.check_bytes(self.asked_bytes())?;
            return Ok(heard);
        };
        self.called.retain(|(its, _)| *its != ty);
        self.called.extend(ty.also_called().iter().find(|name| **name == ask.type_url).map(|name| (ty, *name)));
        let is_first = self.subscriptions[ty].is_none();
        let others = Some(self.telling(ty)).filter(|_| is_first);
        let others = others.and_then(|telling| Subscription::what_others_hold(telling, &ask));
        if others.is_none() {
            ask.check_known(&self.limits)?; // what others hold was looked at when it was theirs
        }
        let Some(heard) = self.hear(ty, &ask, resources) else { return Ok(Heard::Nothing) };
        self.subscribe(ty, (&ask, others), resources);
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
            Changes::Keys(_) if self.notes_nothing() => {}
            Changes::Keys(keys) => keys.for_each(|(ty, name)| {
                self.on_change(*ty, name, resources);
                self.followers.of(*ty, name, resources).iter().for_each(|(ty, name)| {
                    self.on_change(*ty, name, resources);
                });
            }),
            Changes::Resync => {
                let subscriptions = self.subscriptions.iter_mut();
                let alone =
                    subscriptions.flat_map(|(ty, sub)| Some((ty, sub.as_mut().filter(|sub| !sub.is_abreast())?)));
                alone.for_each(|(ty, sub)| sub.compare(ty, resources, Why::Changed));
                self.followers.all().iter().for_each(|(ty, name)| self.on_change(*ty, name, resources));
                self.warm_all(resources);
            }
        }
        self.revision = resources.revision();
    }

    /// The next response to write, or none until something changes or is heard.
    pub(crate) fn next_answer(&mut self, resources: &impl Resources) -> Option<Answer> {
        self.on_snapshot(resources);
        let revision = resources.revision();
        if let Some((type_url, removed, bytes)) = self.unserved.next_answer() {
            self.unread_bytes += bytes;
            let (nonce, push) = (self.last_nonce.advance(), Push { removed: removed.into(), ..Push::default() });
            return Some(Answer { type_url: type_url.into(), ty: None, nonce, revision, push });
        }
        if !self.may_send() {
            return None;
        }
        let due = PerType::from_fn(|ty| {
            self.subscriptions[ty].as_mut().map_or_else(Due::default, |sub| sub.due(ty, resources))
        });
        let turn = order::next(&due)?;
        let (nonce, push) = self.take(turn, resources)?;
        let called = self.called.iter().find(|(its, _)| *its == turn.ty);
        let type_url = called.map_or_else(|| turn.ty.type_url(), |(_, name)| name).to_owned();
        Some(Answer { type_url, ty: Some(turn.ty), nonce, revision, push })
    }

    /// Whether nothing was asked for yet: what it sees may still be decided.
    pub fn is_new(&self) -> bool {
        self.subscriptions.iter().all(|(_, sub)| sub.is_none())
    }

    /// Whether anything may be sent before the client says something: of what it was sent it has answered some.
    pub fn may_send(&self) -> bool {
        let mut subscriptions = self.subscriptions.iter().filter_map(|(_, sub)| sub.as_ref());
        self.is_new() || self.unserved.is_due() || subscriptions.any(|sub| sub.may_send())
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
        subscriptions.sum::<usize>() + self.unserved.bytes() + self.unread_bytes + self.followers.bytes()
    }

    /// How many changes were merged into one that had not been sent yet.
    pub fn coalesced(&self) -> &PerType<u64> {
        &self.coalesced
    }

    /// How many resources of that type the client holds, as far as it was sent them.
    pub fn held(&self, ty: ResourceType) -> usize {
        self.subscriptions[ty].as_ref().map_or(0, |sub| sub.held())
    }

    /// What the client holds and waits for, at most so many of them; names of which there is nothing are not known.
    pub fn holdings(&self, resources: &impl Resources, most: usize) -> Vec<Holding> {
        let subscriptions = self.subscriptions.iter().filter_map(|(ty, sub)| Some((ty, sub.as_ref()?)));
        subscriptions.flat_map(|(ty, sub)| sub.holdings(ty, resources)).take(most).collect()
    }

    /// Whether the client is told about what does not exist in the field `resource_errors`.
    pub(crate) fn reads_errors(&self) -> bool {
        self.reads_errors
    }

    fn meet(&mut self, node: &Node) {
        self.node_id = node.id.chars().take(NODE_ID_CHARS_MAX).collect();
        self.reads_errors = reads_errors(node);
    }

    /// ACK and NACK are told by the nonce and `error_detail`. In the incremental variant a nonce that is not ours, as after
    /// a reconnect, says nothing, but the subscription changes beside it count. In the state-of-the-world a request that
    /// answers another response than the last one is out of date, whatever it says: `None`. One without a nonce answers
    /// nothing, but its names count.
    fn hear(&mut self, ty: ResourceType, ask: &Ask<'_>, resources: &impl Resources) -> Option<Heard> {
        let nonce = Nonce::read(ask.nonce, self.last_nonce);
        let Some(sub) = &mut self.subscriptions[ty] else { return Some(Heard::Nothing) };
        let out_of_date = !ask.nonce.is_empty() && nonce.is_none_or(|nonce| nonce != sub.last_sent());
        if self.variant == Variant::StateOfTheWorld && out_of_date {
            sub.narrow_to(ask);
            if ty == ResourceType::Cluster && ask.error.is_some() {
                // What we took for held in the response after that one is new to it there.
                let endpoints: Vec<_> = sub.held_names().map(endpoints_of).collect();
                self.warm(&endpoints, resources);
            }
            return None;
        }
        let heard = Heard::of(nonce, ask.error);
        sub.hear(ty, &heard, resources);
        Some(heard)
    }

    fn subscribe(&mut self, ty: ResourceType, (ask, others): (&Ask<'_>, Option<Held>), resources: &impl Resources) {
        let telling = self.telling(ty);
        let adds = match (&mut self.subscriptions[ty], self.variant) {
            (Some(sub), Variant::Delta) => {
                sub.update(ty, ask, resources);
                !ask.subscribe.is_empty()
            }
            (Some(sub), Variant::StateOfTheWorld) => {
                let changed = sub.replace(ty, ask, resources);
                if changed {
                    self.forget(ty);
                }
                changed
            }
            (none, _) => {
                *none = Some(Box::new(Subscription::open((ty, telling), others, ask, resources)));
                true
            }
        };
        if let Some(sub) = &mut self.subscriptions[ty] {
            sub.was_heard();
        }
        if !ask.unsubscribe.is_empty() {
            self.forget(ty);
        }
        if !adds {
            return;
        }
        ask.named().for_each(|name| self.followers.add(ty, &name, resources));
        if ty == ResourceType::Endpoints {
            // Clusters may have been sent before the client listened to their endpoints, as on every reconnect.
            self.warm_all(resources);
        }
    }

    /// What is no longer subscribed to needs no following and no warming.
    fn forget(&mut self, ty: ResourceType) {
        let (names, subscriptions) = (self.names(), &self.subscriptions);
        let wants = |ty: ResourceType, name: &str| subscriptions[ty].as_ref().is_some_and(|sub| sub.wants(name));
        self.followers.sweep(names, wants);
        if ty == ResourceType::Cluster {
            self.warming.retain(|endpoints| wants(ResourceType::Cluster, &name::cluster_of(endpoints)));
        }
    }

    fn telling(&self, ty: ResourceType) -> Telling {
        match self.variant {
            Variant::Delta => Telling::Changes,
            Variant::StateOfTheWorld if ty.is_told_whole() => Telling::Whole,
            Variant::StateOfTheWorld if self.reads_errors => Telling::PartsAndErrors,
            Variant::StateOfTheWorld => Telling::Parts,
        }
    }

    fn names(&self) -> usize {
        self.subscriptions.iter().filter_map(|(_, sub)| Some(sub.as_ref()?.names())).sum()
    }

    /// Nothing has to be noted of what changes: it is looked for when it is to be told.
    fn notes_nothing(&self) -> bool {
        let mut alone = self.subscriptions.iter().filter_map(|(_, sub)| sub.as_ref()).filter(|sub| !sub.is_abreast());
        let warms = self.subscriptions[ResourceType::Endpoints].is_some() && !self.warming.is_empty();
        alone.next().is_none() && self.followers.bytes() == 0 && !warms
    }

    fn on_change(&mut self, ty: ResourceType, name: &Arc<str>, resources: &impl Resources) {
        let Some(sub) = self.subscriptions[ty].as_mut().filter(|sub| sub.wants(name)) else { return };
        if !sub.is_abreast() {
            self.coalesced[ty] += u64::from(sub.look(ty, name, resources, Why::Changed));
        }
        if ty == ResourceType::Endpoints && self.warming.contains(name) {
            self.warm(std::slice::from_ref(name), resources); // back as they were, but after a new cluster
        }
    }

    fn take(&mut self, turn: Turn, resources: &impl Resources) -> Option<(Nonce, Push)> {
        let ty = turn.ty;
        let nonce = self.last_nonce.advance();
        let push = self.subscriptions[ty].as_mut()?.take(ty, resources, turn.with_removals, nonce);
        self.coalesced[ty] += push.coalesced;
        if ty == ResourceType::Cluster && self.subscriptions[ResourceType::Endpoints].is_some() {
            let endpoints: Vec<_> = push.sent.iter().map(endpoints_of).collect();
            self.warm(&endpoints, resources);
        }
        // On a stream of clusters alone no endpoints follow.
        if self.serves.has(ResourceType::Endpoints) {
            self.warming.sent(ty, &push.sent, &push.removed);
        }
        self.unread_bytes += push.asked_bytes;
        Some((nonce, push))
    }

    /// Queues those Endpoints, as far as they exist and the client listens to them.
    fn warm(&mut self, endpoints: &[Arc<str>], resources: &impl Resources) {
        let Some(sub) = &mut self.subscriptions[ResourceType::Endpoints] else { return };
        for name in endpoints {
            if let Some(endpoints) = resources.get(ResourceType::Endpoints, name).filter(|_| sub.wants(name))
                && !sub.will_tell(ResourceType::Endpoints, name, resources)
            {
                sub.fall_out(ResourceType::Endpoints, resources);
                sub.touch(name, Some(&endpoints), Why::Asked);
            }
        }
    }

    fn warm_all(&mut self, resources: &impl Resources) {
        self.warm(&self.warming.names(), resources);
    }
}

/// The name of a cluster's endpoints; most of the time it is the same text.
pub(super) fn endpoints_of(cluster: &Arc<str>) -> Arc<str> {
    match name::endpoints_of(cluster) {
        std::borrow::Cow::Borrowed(_) => Arc::clone(cluster),
        std::borrow::Cow::Owned(name) => name.into(),
    }
}

/// Whether a client knows the field `resource_errors`: it says so, or it is gRPC, whose older versions skip the field (TP3:
/// they "will just ignore them"). For Envoy it would be a response with nothing in it.
fn reads_errors(node: &Node) -> bool {
    let says_so = |feature: &String| feature.contains("resource-errors") || feature.contains("resource_errors");
    node.user_agent_name.starts_with("gRPC") || node.client_features.iter().any(says_so)
}
