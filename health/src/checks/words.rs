//! What peers say of endpoints that they cover.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::{Addresses, Name};

use crate::ledger::Subject;

/// What each peer says, by registration and endpoint. It may come before the registration itself, and stays as long as the
/// peer says it.
#[derive(Debug, Default)]
pub(super) struct Words(HashMap<Arc<Origin>, BTreeMap<Name, BTreeMap<Name, Subject>>>);

// === impl Words ===

impl Words {
    /// A peer says this of a registration, and nothing else.
    pub(super) fn replace(&mut self, peer: &Name, origin: &Arc<Origin>, said: BTreeMap<Name, Subject>) {
        if said.is_empty() {
            if let Some(peers) = self.0.get_mut(origin) {
                peers.remove(peer);
                if peers.is_empty() {
                    self.0.remove(origin);
                }
            }
        } else {
            self.0.entry(Arc::clone(origin)).or_default().insert(Name::clone(peer), said);
        }
    }

    /// What a peer says of an endpoint.
    pub(super) fn of(&self, peer: &Name, origin: &Arc<Origin>, endpoint: &Name) -> Option<&Subject> {
        self.0.get(origin)?.get(peer)?.get(endpoint)
    }

    /// Those of `heard` that speak of an endpoint at these addresses.
    pub(super) fn covering<'a>(
        &self,
        heard: &'a [Name],
        origin: &Arc<Origin>,
        endpoint: &Name,
        addresses: Addresses,
    ) -> Vec<&'a Name> {
        let Some(peers) = self.0.get(origin) else { return Vec::new() };
        let covers = |peer: &&Name| {
            let said = peers.get(*peer).and_then(|said| said.get(endpoint));
            said.is_some_and(|subject| subject.addresses == addresses)
        };
        heard.iter().filter(covers).collect()
    }

    /// The registrations that a peer speaks of.
    pub(super) fn origins(&self, peer: &Name) -> Vec<Arc<Origin>> {
        self.0.iter().filter(|(_, peers)| peers.contains_key(peer)).map(|(origin, _)| Arc::clone(origin)).collect()
    }
}
