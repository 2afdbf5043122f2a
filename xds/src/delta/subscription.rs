//! Everything of one type on one delta stream.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;

use super::Heard;
use crate::{
    proto::discovery::DeltaDiscoveryRequest,
    resource::{Resource, ResourceType, Version},
    stream::{
        Nonce, RESPONSE_BYTES_MAX, Rejection,
        order::Due,
        queue::{Queue, Why},
        window::Window,
    },
    view::Resources,
};

mod names;

use self::names::Names;

/// Everything of one type on one stream.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    pub(super) last_rejection: Option<Rejection>,
    wildcard: bool,
    /// Subscribed by name, whether it exists or not.
    names: Names,
    /// What the client holds, as far as it was sent or said so.
    held: HashMap<Arc<str>, Version>,
    /// To be sent. Always says how things are in the snapshot last seen.
    upserts: Queue,
    /// To be reported as removed.
    removals: Queue,
    /// A wildcard found nothing, and the client is to be told so that it does not wait.
    empty: bool,
    window: Window,
    /// No longer subscribed to, but in a response that the client may yet read, and then keep if it has subscribed to a
    /// wildcard by then: to be answered with that.
    stray: HashSet<Arc<str>>,
    /// Responses that left removals behind, for the sake of order.
    removals_held: u8,
}

/// What goes into one response.
#[derive(Debug, Default)]
pub(super) struct Push {
    pub(super) resources: Vec<Bytes>,
    pub(super) sent: Vec<Arc<str>>,
    pub(super) removed: Vec<Arc<str>>,
    /// What of `removed` was asked for, and may be nobody else's names; as in [`Queue::asked_bytes`].
    pub(super) asked_bytes: usize,
}

const WILDCARD: &str = "*";

/// Bytes that a resource or name takes beside its own, at most: tag and length.
const FRAME_BYTES: usize = 6;

/// A removal is not held back for more responses than this when other types never come to rest.
const REMOVALS_HELD_MAX: u8 = 8;

// === impl Subscription ===

impl Subscription {
    /// The first request of a type on a stream. Without any name it is a wildcard (xDS protocol, the legacy form). The
    /// versions it brings are what the client holds of what it subscribes to: equal ones are not sent again, missing ones
    /// are reported as removed.
    pub(super) fn open(ty: ResourceType, request: &DeltaDiscoveryRequest, resources: &impl Resources) -> Self {
        let mut sub = Self::default();
        let subscribe = &request.resource_names_subscribe;
        sub.wildcard = subscribe.is_empty() || subscribe.iter().any(|name| name == WILDCARD);
        named(subscribe).for_each(|name| sub.names.subscribe(name, resources.get(ty, name).as_deref()));
        for (name, version) in &request.initial_resource_versions {
            if sub.wants(name) {
                sub.bring(ty, name, Version::parse(version), resources);
            }
        }
        sub.compare(ty, resources, Why::Changed);
        for name in named(subscribe) {
            let now = resources.get(ty, name);
            if now.is_none() || sub.upserts.contains(name) {
                sub.touch(&intern(name, now.as_deref()), now.as_deref(), Why::Asked);
            }
        }
        sub.empty = sub.wildcard && sub.held.is_empty();
        sub
    }

    /// A later request. What is in both lists stays subscribed.
    pub(super) fn update(&mut self, ty: ResourceType, request: &DeltaDiscoveryRequest, resources: &impl Resources) {
        for name in &request.resource_names_unsubscribe {
            match name.as_str() {
                WILDCARD => self.unsubscribe_wildcard(),
                name => self.unsubscribe(ty, name, resources),
            }
        }
        if request.resource_names_subscribe.is_empty() {
            return;
        }
        self.window.lift();
        for name in named(&request.resource_names_subscribe) {
            let now = resources.get(ty, name);
            self.names.subscribe(name, now.as_deref());
            self.touch(&intern(name, now.as_deref()), now.as_deref(), Why::Asked);
        }
        if request.resource_names_subscribe.iter().any(|name| name == WILDCARD) {
            let why = if self.wildcard { Why::Asked } else { Why::Changed };
            self.wildcard = true;
            self.compare(ty, resources, why);
            for name in std::mem::take(&mut self.stray) {
                self.touch(&name, resources.get(ty, &name).as_deref(), Why::Asked);
            }
            self.empty |= self.held.is_empty();
        }
    }

    pub(super) fn hear(&mut self, heard: &Heard) {
        let nonce = match heard {
            Heard::Ack(nonce) => *nonce,
            Heard::Nack(rejection) => {
                self.last_rejection = Some(rejection.clone());
                rejection.nonce
            }
            Heard::Nothing | Heard::Unserved => return,
        };
        self.window.answered(nonce);
        if self.window.is_settled() {
            self.stray = HashSet::new();
        }
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// Names kept for the client's sake.
    pub(super) fn names(&self) -> usize {
        self.names.len() + self.stray.len()
    }

    /// Memory for what the catalog does not hold as well.
    pub(super) fn asked_bytes(&self) -> usize {
        let words = self.last_rejection.as_ref().map_or(0, |rejection| rejection.message.len());
        words + self.names.absent_bytes() + self.removals.asked_bytes()
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Looks at everything subscribed: after the ring was left behind, or for a new wildcard.
    pub(super) fn compare(&mut self, ty: ResourceType, resources: &impl Resources, why: Why) {
        if self.wildcard || self.names.some_are_absent() {
            resources.for_each(ty, &mut |resource| {
                if self.wildcard || self.names.is_absent(&resource.name) {
                    self.touch(&resource.name, Some(resource), why);
                }
            });
        }
        let known = self.names.existing().chain(self.held.keys()).chain(self.upserts.names());
        let known: Vec<_> = known.filter(|name| !self.wildcard || resources.get(ty, name).is_none()).cloned().collect();
        for name in known {
            self.touch(&name, resources.get(ty, &name).as_deref(), why);
        }
    }

    /// Notes how `name` is now. Says whether that merged with something not sent yet.
    pub(super) fn touch(&mut self, name: &Arc<str>, now: Option<&Resource>, why: Why) -> bool {
        self.names.touch(name, now);
        let unsent = self.upserts.remove(name).max(self.removals.remove(name));
        let why = unsent.map_or(why, |unsent| unsent.max(why));
        let held = self.held.get(name);
        match now {
            Some(now) if why == Why::Asked || held != Some(&now.version) => self.upserts.insert(now.name.clone(), why),
            None if why == Why::Asked || held.is_some() => self.removals.insert(name.clone(), why),
            Some(_) | None => {}
        }
        unsent.is_some()
    }

    /// What may be sent of it.
    pub(super) fn due(&self) -> Due {
        let (open, additions) = (self.window.is_open(), !self.upserts.is_empty());
        Due {
            additions,
            push: open && (additions || self.empty),
            removal: open && !self.removals.is_empty(),
            overdue: self.removals_held >= REMOVALS_HELD_MAX,
        }
    }

    /// Takes what fits into one response, and counts it as held from now on: a client that rejects it is not sent the same
    /// again, and says on its next stream what it really holds.
    pub(super) fn take(
        &mut self,
        ty: ResourceType,
        resources: &impl Resources,
        with_removals: bool,
        nonce: Nonce,
    ) -> Push {
        let mut push = Push::default();
        let mut room = Some(RESPONSE_BYTES_MAX);
        while let Some(next) = self.upserts.first() {
            let Some(resource) = resources.get(ty, next) else {
                self.upserts.pop_first(); // cannot be: `touch` saw the same snapshot
                continue;
            };
            room = take_room(room, resource.wire.len(), push.resources.is_empty());
            if room.is_none() {
                break;
            }
            self.upserts.pop_first();
            self.held.insert(resource.name.clone(), resource.version);
            push.resources.push(resource.wire.clone());
            push.sent.push(resource.name.clone());
        }
        while let Some(next) = self.removals.first().filter(|_| with_removals) {
            room = take_room(room, next.len(), push.resources.is_empty() && push.removed.is_empty());
            if room.is_none() {
                break;
            }
            let Some((name, asked_bytes)) = self.removals.pop_first() else { break };
            push.asked_bytes += asked_bytes;
            self.held.remove(&name);
            push.removed.push(name);
        }
        self.empty = false;
        self.window.sent(nonce);
        self.removals_held = if with_removals || self.removals.is_empty() { 0 } else { self.removals_held + 1 };
        push
    }

    /// A resource that the client says it holds. If there is none of that name it is to be told so.
    fn bring(&mut self, ty: ResourceType, name: &str, version: Option<Version>, resources: &impl Resources) {
        let now = resources.get(ty, name);
        let own = intern(name, now.as_deref());
        if now.is_none() {
            self.removals.insert(own.clone(), Why::Asked);
        }
        self.held.insert(own, version.unwrap_or(Version::FOREIGN));
    }

    fn unsubscribe_wildcard(&mut self) {
        self.wildcard = false;
        self.empty = false;
        let dropped = self.held.extract_if(|name, _| !self.names.contains(name)).map(|(name, _)| name);
        self.stray.extend(dropped.filter(|_| !self.window.is_settled()));
        self.upserts.retain(|name| self.names.contains(name));
        self.removals.retain(|name| self.names.contains(name));
    }

    /// Under a wildcard the name stays subscribed, and the client, which may have dropped it, must be told how it is now
    /// (xDS protocol, "Unsubscribing from resources").
    fn unsubscribe(&mut self, ty: ResourceType, name: &str, resources: &impl Resources) {
        if !self.names.unsubscribe(name) {
            return;
        }
        if self.wildcard {
            let now = resources.get(ty, name);
            self.touch(&intern(name, now.as_deref()), now.as_deref(), Why::Asked);
            return;
        }
        self.upserts.remove(name);
        self.removals.remove(name);
        if let Some((name, _)) = self.held.remove_entry(name).filter(|_| !self.window.is_settled()) {
            self.stray.insert(name);
        }
    }
}

fn named(names: &[String]) -> impl Iterator<Item = &str> {
    names.iter().map(String::as_str).filter(|name| *name != WILDCARD)
}

/// The catalog's own copy of a name, if it has one.
fn intern(name: &str, now: Option<&Resource>) -> Arc<str> {
    now.map_or_else(|| Arc::from(name), |resource| resource.name.clone())
}

/// The room left after another `bytes`, if they fit; the first always do.
fn take_room(room: Option<usize>, bytes: usize, first: bool) -> Option<usize> {
    let left = room?.checked_sub(bytes + FRAME_BYTES);
    if first { left.or(Some(0)) } else { left }
}
