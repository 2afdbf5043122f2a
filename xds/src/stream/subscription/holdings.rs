//! What a client holds of a type, for people.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use super::Subscription;
use crate::{
    resource::{ResourceType, Version},
    view::Resources,
};

/// A resource that a client holds or waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Its type.
    pub ty: ResourceType,
    /// Its name.
    pub name: Arc<str>,
    /// What the client was sent last; `None` before the first time.
    pub version: Option<Version>,
    /// How that stands to what there is now.
    pub standing: Standing,
    /// The resource as `google.protobuf.Any`, where the client holds it as it is now.
    pub content: Option<Bytes>,
}

/// How far a client is with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was sent, and not refused.
    Taken,
    /// It was sent, and no answer has come yet.
    Unanswered,
    /// The last response of the type was refused: this may be why.
    Refused,
    /// There is another version, or the first one, which has yet to be sent.
    Waiting,
}

// === impl Subscription ===

impl Subscription {
    pub(in crate::stream) fn holdings(
        &self,
        ty: ResourceType,
        resources: &impl Resources,
    ) -> impl Iterator<Item = Holding> {
        let sent = match (&self.last_rejection, self.window.is_settled()) {
            (_, false) => Standing::Unanswered,
            (Some(refused), true) if refused.nonce == self.window.last_sent() => Standing::Refused,
            (_, true) => Standing::Taken,
        };
        let step = self.ahead(ty, resources);
        let to_come: HashSet<_> = step.iter().flat_map(|step| step.sent.iter().cloned()).collect();
        let unheld: Vec<_> = to_come.iter().filter(|name| !self.held.contains(name)).cloned().collect();
        let waiting = self.upserts.names().filter(|name| !self.held.contains(name)).cloned().chain(unheld);
        let held = self.held.iter().map(move |(name, version)| {
            let now = resources.get(ty, name).filter(|now| now.version == version);
            let standing = if self.upserts.contains(name) || to_come.contains(name) { Standing::Waiting } else { sent };
            let content = now.map(|now| now.any());
            Holding { ty, name: Arc::clone(name), version: Some(version), standing, content }
        });
        held.chain(waiting.map(move |name| Holding {
            ty,
            name,
            version: None,
            standing: Standing::Waiting,
            content: None,
        }))
    }
}
