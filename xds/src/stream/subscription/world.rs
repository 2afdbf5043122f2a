//! Requests of the state-of-the-world: each bears all names.

use std::{borrow::Cow, collections::HashSet};

use super::Subscription;
use crate::{resource::ResourceType, stream::ask::Ask, view::Resources};

// === impl Subscription ===

impl Subscription {
    /// A later request: these names, and no others. What is new among them is sent even if the client holds it; what stays
    /// is not sent again. Nothing at all is a wildcard as long as nothing was ever named, and nothing afterwards.
    /// Says whether that is something else than before.
    pub(crate) fn replace(&mut self, ty: ResourceType, ask: &Ask<'_>, resources: &impl Resources) -> bool {
        let wildcard = ask.stars() || (ask.subscribe.is_empty() && self.legacy);
        self.legacy &= ask.subscribe.is_empty();
        if wildcard == self.wildcard && self.has_exactly(ask) {
            return false; // an acknowledgement, most of the time
        }
        self.fall_out(ty, resources);
        let named: HashSet<_> = ask.named().collect();
        let new: Vec<_> = named.iter().filter(|name| !self.names.contains(name)).collect();
        new.into_iter().for_each(|name| self.subscribe(ty, name, resources));
        if wildcard && !self.wildcard {
            self.subscribe_wildcard(ty, resources);
        }
        self.narrow(&named, wildcard);
        self.share();
        true
    }

    /// A request that came too late is not answered, and the next one will say the same and more. But what it no longer
    /// names the client may have dropped, and if that is named again next time, it has to be sent.
    pub(crate) fn narrow_to(&mut self, ask: &Ask<'_>) {
        let wildcard = ask.stars() || (ask.subscribe.is_empty() && self.legacy);
        self.legacy &= ask.subscribe.is_empty();
        self.narrow(&ask.named().collect(), wildcard);
    }

    fn narrow(&mut self, named: &HashSet<Cow<'_, str>>, wildcard: bool) {
        self.names.retain(named);
        match (self.wildcard, wildcard) {
            (true, true) => {}
            (true, false) => self.unsubscribe_wildcard(),
            (false, _) => self.forget_unnamed(),
        }
    }

    fn has_exactly(&self, ask: &Ask<'_>) -> bool {
        let mut count = 0;
        let all_known = ask.named().all(|name| {
            count += 1;
            self.names.contains(&name)
        });
        // A name that is there twice makes this miss, which costs time and nothing else.
        all_known && count == self.names.len()
    }
}
