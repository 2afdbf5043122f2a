//! Namespaces that are wanted no more: what came of them goes at once, and counts as held back. To have it again, all is asked for anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_xds::resource::ResourceType;

use super::{Heard, Room};

// === impl Heard ===

impl Heard {
    /// Takes out what is of other namespaces than these; `None`: nothing.
    pub fn keep_to(&mut self, namespaces: Option<&BTreeSet<Name>>) {
        if !self.wanted.keep_to(namespaces) {
            return;
        }
        for ((_, name), held) in &mut self.held_back {
            // There is nothing for it to wait for.
            held.too_much &= name.split_once('/').is_some_and(|(namespace, _)| self.wanted.has(namespace));
        }
        let gone = self.services.keys().filter(|key| !self.wanted.has(&key.namespace));
        for key in gone.cloned().collect::<Vec<_>>() {
            self.leave(&key);
        }
    }

    fn leave(&mut self, key: &ServiceKey) {
        let Some(service) = self.services.remove(key) else { return };
        let room = Room { slot: false, is_wanted: false, known: false };
        self.changed.remove(key);
        if service.said.is_some() {
            self.hold_back(ResourceType::ExportedService, &key.to_string().into(), 0, &room);
        }
        for ((count, index), bucket) in service.buckets {
            self.endpoints -= bucket.len();
            let name: Arc<str> = format!("{key}/{count}/{index}").into();
            let rest = self.held_back.get(&(ResourceType::ExportedBucket, Arc::clone(&name)));
            let endpoints = bucket.len() + rest.map_or(0, |held| held.endpoints);
            self.hold_back(ResourceType::ExportedBucket, &name, endpoints, &room);
        }
    }
}
