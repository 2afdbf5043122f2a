//! What goes into one response.

use std::sync::Arc;

use bytes::Bytes;

use super::{Subscription, Telling};
use crate::{
    resource::{Resource, ResourceType, Version},
    stream::{Nonce, RESPONSE_BYTES_MAX},
    view::Resources,
};

/// What goes into one response.
#[derive(Debug, Default)]
pub(crate) struct Push {
    /// As the variant has them: with name and version around, or plain.
    pub(crate) resources: Arc<[Bytes]>,
    /// Of all of them together.
    pub(crate) version: Option<Version>,
    /// What of it the client did not hold like this.
    pub(crate) sent: Arc<[Arc<str>]>,
    pub(crate) removed: Arc<[Arc<str>]>,
    /// Changes that came to nothing more than these, and were not counted before.
    pub(crate) coalesced: u64,
    /// What of `removed` was asked for, and may be nobody else's names; as in [`Queue::asked_bytes`].
    ///
    /// [`Queue::asked_bytes`]: crate::stream::queue::Queue::asked_bytes
    pub(crate) asked_bytes: usize,
}

/// The same while it is put together.
#[derive(Default)]
struct Draft {
    resources: Vec<Bytes>,
    version: Option<Version>,
    sent: Vec<Arc<str>>,
    removed: Vec<Arc<str>>,
    asked_bytes: usize,
}

/// Bytes that a resource or name takes beside its own, at most: tag and length.
const FRAME_BYTES: usize = 6;

// === impl Subscription ===

impl Subscription {
    /// Takes what goes into one response, and counts it as held from now on: a client that rejects it is not sent the same
    /// again, and says on its next stream what it really holds.
    pub(crate) fn take(
        &mut self,
        ty: ResourceType,
        resources: &impl Resources,
        with_removals: bool,
        nonce: Nonce,
    ) -> Push {
        if let Some(step) = self.next_step(ty, resources) {
            if with_removals || step.removed.is_empty() || self.telling == Telling::Whole {
                return self.go(ty, &step, resources, nonce);
            }
            self.fall_out(ty, resources);
        }
        let mut push = Draft::default();
        let with_removals = with_removals || self.telling == Telling::Whole;
        let room = match self.telling {
            Telling::Whole => self.take_all(ty, resources, &mut push),
            Telling::Changes | Telling::Parts | Telling::PartsAndErrors => self.take_some(ty, resources, &mut push),
        };
        if with_removals {
            self.take_removals(room, &mut push);
        }
        self.empty = false;
        if self.upserts.is_empty() {
            self.share();
        }
        self.window.sent(nonce);
        self.removals_held = if with_removals || self.removals.is_empty() { 0 } else { self.removals_held + 1 };
        self.fall_in(resources);
        push.into()
    }

    /// All there is, in one response: clients take what is not in it for removed.
    fn take_all(&mut self, ty: ResourceType, resources: &impl Resources, push: &mut Draft) -> Option<usize> {
        let mut all = Vec::new();
        if self.wildcard {
            all.reserve(self.held.len());
            resources.for_each(ty, &mut |resource| all.push(resource.clone()));
        }
        all.extend(self.names.existing().filter_map(|name| resources.get(ty, name).map(std::borrow::Cow::into_owned)));
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.name == b.name);
        push.version = Some(Version::of_all(all.iter().map(|resource| resource.version)));
        for resource in all {
            if self.held.insert(resource.name.clone(), resource.version) != Some(resource.version)
                || self.upserts.contains(&resource.name)
            {
                push.sent.push(resource.name.clone());
            }
            push.resources.push(resource.any());
        }
        self.upserts.clear();
        Some(RESPONSE_BYTES_MAX) // for what is not there: nobody but who asked for it is told
    }

    /// What fits of what the client does not hold. Says what room is left.
    fn take_some(&mut self, ty: ResourceType, resources: &impl Resources, push: &mut Draft) -> Option<usize> {
        let mut room = Some(RESPONSE_BYTES_MAX);
        let mut versions = Vec::new();
        while let Some(next) = self.upserts.first() {
            let parting = || self.parting(ty, next, resources).map(std::borrow::Cow::Owned);
            let now = resources.get(ty, next);
            let is_there = now.is_some();
            let Some(resource) = now.or_else(parting) else {
                self.upserts.pop_first(); // cannot be: `touch` saw the same snapshot
                continue;
            };
            room = take_room(room, resource.wire.len(), push.resources.is_empty());
            if room.is_none() {
                break;
            }
            self.upserts.pop_first();
            if is_there {
                self.held.insert(resource.name.clone(), resource.version);
            } else {
                self.held.remove(&resource.name); // there is nothing that could be told of it any more
            }
            push.resources.push(self.bytes(&resource));
            push.sent.push(resource.name.clone());
            versions.push(resource.version);
        }
        if self.upserts.is_empty() {
            self.returning_bytes = 0;
        }
        push.version = Some(Version::of_all(versions.into_iter()));
        room
    }

    fn bytes(&self, resource: &Resource) -> Bytes {
        match self.telling {
            Telling::Changes => resource.wire.clone(),
            Telling::Whole | Telling::Parts | Telling::PartsAndErrors => resource.any(),
        }
    }

    fn take_removals(&mut self, mut room: Option<usize>, push: &mut Draft) {
        while let Some(next) = self.removals.first() {
            room = take_room(room, next.len(), push.resources.is_empty() && push.removed.is_empty());
            if room.is_none() {
                break;
            }
            let Some((name, asked_bytes)) = self.removals.pop_first() else { break };
            push.asked_bytes += asked_bytes;
            self.held.remove(&name);
            push.removed.push(name);
        }
    }
}

// === impl Push ===

impl From<Draft> for Push {
    fn from(draft: Draft) -> Self {
        let Draft { resources, version, sent, removed, asked_bytes } = draft;
        let (resources, sent, removed) = (resources.into(), sent.into(), removed.into());
        Self { resources, version, sent, removed, coalesced: 0, asked_bytes }
    }
}

/// The room left after another `bytes`, if they fit; the first always do.
pub(in crate::stream) fn take_room(room: Option<usize>, bytes: usize, first: bool) -> Option<usize> {
    let left = room?.checked_sub(bytes + FRAME_BYTES);
    if first { left.or(Some(0)) } else { left }
}
