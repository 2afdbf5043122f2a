//! Everything of one type on one stream, in either variant.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use super::{
    Heard, Nonce, Rejection,
    ask::{Ask, WILDCARD},
    order::Due,
    queue::{Queue, Why},
    shared::Held,
    window::Window,
};
use crate::{
    name,
    resource::{Resource, ResourceType, Version},
    view::Resources,
};

mod abreast;
mod holdings;
mod names;
mod push;
mod world;

pub use self::holdings::{Holding, Standing};
pub(super) use self::push::{Push, take_room};
use self::{abreast::Pace, names::Names};

/// How a type is told on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Telling {
    /// What is new and what goes.
    #[default]
    Changes,
    /// All there is, each time: what is not among it is no more.
    Whole,
    /// What is new, and as errors what is not there.
    PartsAndErrors,
    /// What is new. The protocol has no words for what goes.
    Parts,
}

/// Everything of one type on one stream.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    pub(super) last_rejection: Option<Rejection>,
    telling: Telling,
    wildcard: bool,
    /// The wildcard is there because nothing was ever named.
    legacy: bool,
    /// Subscribed by name, whether it exists or not.
    names: Names,
    /// What the client holds, as far as it was sent or said so.
    held: Held,
    /// To be sent. Always says how things are in the snapshot last seen.
    upserts: Queue,
    /// To be reported as removed.
    removals: Queue,
    /// A wildcard found nothing, and the client is to be told so that it does not wait.
    empty: bool,
    window: Window,
    /// No longer subscribed to, but in a response that the client may yet read, and then keep if it has subscribed to a
    /// wildcard by then: to be answered with that, also when it is the answer that says so.
    stray: HashSet<Arc<str>>,
    /// Names of nothing that a client which came back may hold, until it has been told so.
    returning_bytes: usize,
    /// Responses that left removals behind, for the sake of order.
    removals_held: u8,
    pace: Pace,
}

/// A removal is not held back for more responses than this when other types never come to rest.
const REMOVALS_HELD_MAX: u8 = 8;

// === impl Subscription ===

impl Subscription {
    /// The first request of a type on a stream. Without any name it is a wildcard (xDS protocol, the legacy form), but not
    /// for what is told in parts: there it names nothing. The versions it brings are what the client holds of what it
    /// subscribes to: equal ones are not sent again, missing ones are reported as removed.
    pub(super) fn open(
        (ty, telling): (ResourceType, Telling),
        others: Option<Held>,
        ask: &Ask<'_>,
        resources: &impl Resources,
    ) -> Self {
        let in_parts = matches!(telling, Telling::Parts | Telling::PartsAndErrors);
        let legacy = ask.subscribe.is_empty() && !in_parts;
        let mut sub = Self { telling, wildcard: legacy || ask.stars(), legacy, ..Self::default() };
        if let Some(held) = others {
            sub.begin_abreast(held);
            return sub;
        }
        ask.named().for_each(|name| sub.names.subscribe(&name, resources.get(ty, &name).as_deref()));
        for (name, version) in known(ask) {
            if sub.wants(&name) {
                sub.bring(ty, &name, version, resources);
            }
        }
        sub.compare(ty, resources, Why::Changed);
        for name in ask.named() {
            let now = resources.get(ty, &name);
            if now.is_none() && in_parts && ask.has_taken && resources.parting(ty, &name).is_some() {
                // It may hold what was deleted while it was away, and has no way to say so.
                sub.held.insert(Arc::from(&*name), Version::FOREIGN);
                sub.returning_bytes += name.len();
            }
            if now.is_none() || sub.upserts.contains(&name) {
                sub.look(ty, &intern(&name, now.as_deref()), resources, Why::Asked);
            }
        }
        sub.empty = sub.wildcard && sub.held.is_empty();
        sub.share();
        sub.fall_in(resources);
        sub
    }

    /// A later request that says what to add and what to drop. What is in both lists stays subscribed.
    pub(super) fn update(&mut self, ty: ResourceType, ask: &Ask<'_>, resources: &impl Resources) {
        if ask.subscribe.is_empty() && ask.unsubscribe.is_empty() {
            return; // an acknowledgement, most of the time
        }
        self.fall_out(ty, resources);
        for name in ask.unsubscribe {
            match name.as_str() {
                WILDCARD => self.unsubscribe_wildcard(),
                name => self.unsubscribe(ty, &name::normal(name), resources),
            }
        }
        if !ask.subscribe.is_empty() {
            ask.named().for_each(|name| self.subscribe(ty, &name, resources));
            self.window.lift();
        }
        if ask.stars() {
            self.subscribe_wildcard(ty, resources);
        }
        self.share();
    }

    /// What others hold and ask for as well need not be in memory again.
    fn share(&mut self) {
        self.held.share();
        self.names.share();
    }

    fn subscribe(&mut self, ty: ResourceType, name: &str, resources: &impl Resources) {
        let now = resources.get(ty, name);
        self.window.lift();
        self.names.subscribe(name, now.as_deref());
        self.look(ty, &intern(name, now.as_deref()), resources, Why::Asked);
    }

    fn subscribe_wildcard(&mut self, ty: ResourceType, resources: &impl Resources) {
        let why = if self.wildcard { Why::Asked } else { Why::Changed };
        self.window.lift();
        self.wildcard = true;
        self.compare(ty, resources, why);
        for name in std::mem::take(&mut self.stray) {
            self.touch(&name, resources.get(ty, &name).as_deref(), Why::Asked);
        }
        self.empty |= self.held.is_empty();
    }

    /// The response that was sent last.
    pub(super) fn last_sent(&self) -> Nonce {
        self.window.last_sent()
    }

    pub(super) fn hear(&mut self, ty: ResourceType, heard: &Heard, resources: &impl Resources) {
        let nonce = match heard {
            Heard::Ack(nonce) => *nonce,
            Heard::Nack(rejection) => {
                self.last_rejection = Some(rejection.clone());
                if self.telling == Telling::Whole {
                    self.fall_out(ty, resources);
                    // It comes again with the next change, whatever that is, and may then be taken, and be new.
                    self.held.spoil();
                }
                rejection.nonce
            }
            Heard::Nothing | Heard::Unserved => return,
        };
        self.window.answered(nonce);
    }

    /// A request was taken in, with what it says and what it asks for: once all was read, nothing is read late any more.
    pub(super) fn was_heard(&mut self) {
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
        words + self.names.absent_bytes() + self.removals.asked_bytes() + self.returning_bytes
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn held_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.held.names()
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
        let known = self.names.existing().chain(self.held.names()).chain(self.upserts.names());
        let known: Vec<_> = known.filter(|name| !self.wildcard || resources.get(ty, name).is_none()).cloned().collect();
        for name in known {
            self.look(ty, &name, resources, why);
        }
    }

    /// Notes how `name` is now, and for whoever holds what is no more, what they are told in its place. Says whether that
    /// merged with something not sent yet.
    pub(super) fn look(&mut self, ty: ResourceType, name: &Arc<str>, resources: &impl Resources, why: Why) -> bool {
        let now = resources.get(ty, name);
        let parting = if now.is_none() { self.parting(ty, name, resources) } else { None };
        self.names.touch(name, now.as_deref());
        self.tell(name, parting.as_ref().or(now.as_deref()), why)
    }

    /// What whoever asked for `name` and holds it is told now that there is none: a client that was told of its removal, or
    /// of nothing, may go on with what it has.
    fn parting(&self, ty: ResourceType, name: &str, resources: &impl Resources) -> Option<Resource> {
        let holds = self.telling != Telling::Whole && self.held.contains(name) && self.names.contains(name);
        holds.then(|| resources.parting(ty, name))?
    }

    /// Notes how `name` is now. Says whether that merged with something not sent yet.
    pub(super) fn touch(&mut self, name: &Arc<str>, now: Option<&Resource>, why: Why) -> bool {
        self.names.touch(name, now);
        self.tell(name, now, why)
    }

    fn tell(&mut self, name: &Arc<str>, now: Option<&Resource>, why: Why) -> bool {
        let (upsert, removal) = (self.upserts.get(name), self.removals.remove(name));
        let unsent = upsert.max(removal);
        let why = unsent.map_or(why, |unsent| unsent.max(why));
        let held = self.held.get(name);
        match now {
            Some(now) if why == Why::Asked || held != Some(now.version) => {
                self.upserts.insert(now.name.clone(), why);
                return unsent.is_some();
            }
            None if self.telling == Telling::Parts => _ = self.held.remove(name),
            None if why == Why::Asked || held.is_some() => self.removals.insert(name.clone(), why),
            Some(_) | None => {}
        }
        if upsert.is_some() {
            self.upserts.remove(name);
        }
        unsent.is_some()
    }

    /// What may be sent of it.
    pub(super) fn due(&mut self, ty: ResourceType, resources: &impl Resources) -> Due {
        let (additions, removals) = match self.next_step(ty, resources) {
            Some(step) => (!step.sent.is_empty(), !step.removed.is_empty()),
            None => (!self.upserts.is_empty(), !self.removals.is_empty()),
        };
        let open = self.window.is_open();
        Due {
            additions,
            push: open && (additions || self.empty),
            removal: open && removals,
            overdue: self.removals_held >= REMOVALS_HELD_MAX,
        }
    }

    /// Whether a response may be sent now.
    pub(super) fn may_send(&self) -> bool {
        self.window.is_open()
    }

    /// A resource that the client says it holds. If there is none of that name it is to be told so.
    fn bring(&mut self, ty: ResourceType, name: &str, version: Version, resources: &impl Resources) {
        let now = resources.get(ty, name);
        let own = intern(name, now.as_deref());
        if now.is_none() {
            self.removals.insert(own.clone(), Why::Asked);
        }
        self.held.insert(own, version);
    }

    fn unsubscribe_wildcard(&mut self) {
        self.wildcard = false;
        self.empty = false;
        self.pace = Pace::Alone;
        self.forget_unnamed();
    }

    /// Forgets that the client has what it does not name, whether there is such a thing or not.
    fn forget_unnamed(&mut self) {
        let dropped = self.held.retain(|name| self.names.contains(name));
        self.stray.extend(dropped.into_iter().filter(|_| !self.window.is_settled()));
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
        self.drop_name(name);
    }

    /// Forgets that the client has it.
    fn drop_name(&mut self, name: &str) {
        self.upserts.remove(name);
        self.removals.remove(name);
        if let Some(name) = self.held.remove(name).filter(|_| !self.window.is_settled()) {
            self.stray.insert(name);
        }
    }
}

/// Names and versions that the client says it holds.
fn known<'a>(ask: &'a Ask<'_>) -> impl Iterator<Item = (Cow<'a, str>, Version)> {
    let all = ask.known();
    all.map(|(name, version)| (name::normal(name), Version::parse(version).unwrap_or(Version::FOREIGN)))
}

/// The catalog's own copy of a name, if it has one.
fn intern(name: &str, now: Option<&Resource>) -> Arc<str> {
    now.map_or_else(|| Arc::from(name), |resource| resource.name.clone())
}
