//! A subscription to everything, of which nothing else was asked, goes on as all others do that hold the same: see
//! [`Step`](crate::stream::shared::Step).

use std::sync::Arc;

use super::{Push, Subscription, Telling};
use crate::{
    known,
    resource::{ResourceType, Version},
    stream::{
        Nonce,
        ask::{Ask, WILDCARD},
        queue::Why,
        shared::{Held, Since, Step},
    },
    view::Resources,
};

/// Whether it goes on with others.
#[derive(Debug, Default)]
pub(super) enum Pace {
    /// What changes is noted as it changes, for it alone.
    #[default]
    Alone,
    /// What changed is looked for when it is to be told, once for all that hold the same: since then, or ever.
    Abreast(Option<Since>),
}

// === impl Subscription ===

impl Subscription {
    pub(in crate::stream) fn is_abreast(&self) -> bool {
        matches!(self.pace, Pace::Abreast(_))
    }

    /// What a client holds that wants everything and nothing else, if it knows nothing, or what others hold.
    pub(in crate::stream) fn what_others_hold(telling: Telling, ask: &Ask<'_>) -> Option<Held> {
        let plain =
            matches!(telling, Telling::Changes | Telling::Whole) && ask.subscribe.iter().all(|name| name == WILDCARD);
        match plain {
            true if ask.known.is_empty() => Some(Held::nothing()),
            true => Held::of_others(ask.known.iter().map(|entry| {
                let (name, version) = known::read_bytes(entry).unwrap_or_default(); // which nobody holds
                (name, Version::read(version).unwrap_or(Version::FOREIGN))
            })),
            false => None,
        }
    }

    /// The first request: it holds what others hold, and goes on with them.
    pub(super) fn begin_abreast(&mut self, held: Held) {
        self.empty = held.is_empty();
        self.held = held;
        self.pace = Pace::Abreast(None);
    }

    /// It holds all there is as it is, if it is to be told nothing more: from now on it goes on with others.
    pub(super) fn fall_in(&mut self, resources: &impl Resources) {
        if self.is_plain() && resources.sight().is_some() && self.held.settles() {
            self.pace = Pace::Abreast(Some(Since::all_of(resources.revision())));
        }
    }

    /// Something is asked of it alone: what it is to be told is noted for it.
    pub(in crate::stream) fn fall_out(&mut self, ty: ResourceType, resources: &impl Resources) {
        if !self.is_abreast() {
            return;
        }
        let step = self.next_step(ty, resources);
        self.pace = Pace::Alone;
        match step {
            Some(step) => {
                let names = step.sent.iter().chain(&*step.removed).chain(step.since.rest());
                names.for_each(|name| _ = self.look(ty, name, resources, Why::Changed));
            }
            None => self.compare(ty, resources, Why::Changed),
        }
    }

    /// What it is told next with all that hold the same.
    pub(super) fn next_step(&mut self, ty: ResourceType, resources: &impl Resources) -> Option<Arc<Step>> {
        let Pace::Abreast(since) = &mut self.pace else { return None };
        let step = self.held.step((ty, self.telling), since.as_ref(), resources)?;
        if step.is_empty() {
            *since = Some(step.since.clone()); // there is nothing to remember of what was before
        }
        Some(step)
    }

    /// The same, for people.
    pub(super) fn ahead(&self, ty: ResourceType, resources: &impl Resources) -> Option<Arc<Step>> {
        let Pace::Abreast(since) = &self.pace else { return None };
        self.held.step((ty, self.telling), since.as_ref(), resources)
    }

    /// Takes that step, and counts it as held from now on.
    pub(super) fn go(&mut self, ty: ResourceType, step: &Step, resources: &impl Resources, nonce: Nonce) -> Push {
        self.empty = false;
        self.window.sent(nonce);
        self.removals_held = 0;
        if !step.is_empty() {
            self.held = self.held.after(step);
            self.pace = Pace::Abreast(Some(step.since.clone()));
            if !self.held.is_shared() {
                self.pace = Pace::Alone;
                step.since.rest().iter().for_each(|name| _ = self.look(ty, name, resources, Why::Changed));
            }
        }
        Push {
            resources: Arc::clone(&step.resources),
            version: step.version,
            sent: Arc::clone(&step.sent),
            removed: Arc::clone(&step.removed),
            coalesced: step.coalesced,
            asked_bytes: 0,
        }
    }

    /// Endpoints that are to follow a cluster: whether they do so in any case, with what all are told next.
    pub(in crate::stream) fn will_tell(&mut self, ty: ResourceType, name: &str, resources: &impl Resources) -> bool {
        self.next_step(ty, resources).is_some_and(|step| step.tells(name))
    }

    /// It is to be told all there is, and nothing else.
    fn is_plain(&self) -> bool {
        let named = self.names.len() > 0 || !self.stray.is_empty() || self.returning_bytes > 0;
        let queued = !self.upserts.is_empty() || !self.removals.is_empty();
        self.wildcard && !named && !queued && matches!(self.telling, Telling::Changes | Telling::Whole)
    }
}
