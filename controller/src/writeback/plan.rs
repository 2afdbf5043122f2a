//! What a target needs: the difference between what should stand in the API and what does. Pure.

use std::collections::HashMap;

use jiff::Timestamp;
use rollcall_catalog::Snapshot;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_catalog::service::Service;
use rollcall_crds::conditions;

use super::apply::Work;
use super::observed::{Observed, SeenRegistration, Stands};
use super::queue::Target;
use super::status::Publication;
use super::{entries, events, slices, status};
use crate::kubernetes::ObjectKey;

/// Plans writes from what is known at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Planner<'a> {
    /// What stands in the API.
    pub observed: &'a Observed,
    /// Services whose slices the API server refused, with its words.
    pub refused: &'a HashMap<ServiceKey, String>,
    /// What should stand there follows from this.
    pub snapshot: &'a Snapshot,
}

// === impl Planner ===

impl Planner<'_> {
    /// The writes that a target needs; `None` when it stands as it should.
    pub fn plan(&self, target: &Target, now: Timestamp) -> Option<Work> {
        match target {
            Target::Slices(key) => self.slices(key),
            Target::Entry(key) => self.entry(key, now),
            Target::Status(key) => self.status(key, now),
        }
    }

    fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.snapshot.get(key).map(|service| &**service)
    }

    fn slices(&self, key: &ServiceKey) -> Option<Work> {
        let mut standing: HashMap<_, _> = self.observed.slices(key).collect();
        let mut write = Vec::new();
        for slice in self.service(key).map(slices::desired).unwrap_or_default() {
            let name = Name::from(slice.metadata.name.as_deref().unwrap_or_default());
            match standing.remove(&name) {
                Some(stands) if stands.content == slices::version(&slice) => {}
                stands => write.push((slice, stands.map(|stands| stands.resource_version.clone()))),
            }
        }
        // New ones first: an endpoint that moves to another slice is in both for a moment, and never in none.
        write.sort_by_key(|(_, stands)| stands.is_some());
        let gone = |(name, stands): (&Name, &Stands)| {
            let object = ObjectKey { namespace: Name::clone(&key.namespace), name: Name::clone(name) };
            (object, stands.resource_version.clone())
        };
        // A registration that cannot be read is no proof that its endpoints are gone.
        let held = self.observed.has_unreadable(&key.namespace);
        let mut delete: Vec<_> = standing.into_iter().filter(|_| !held).map(gone).collect();
        delete.sort_unstable();
        (!write.is_empty() || !delete.is_empty()).then_some(Work::Slices { write, delete })
    }

    fn entry(&self, key: &ServiceKey, now: Timestamp) -> Option<Work> {
        let stands = self.observed.entries.get(key);
        let Some(service) = self.service(key).filter(|service| service.exists()) else {
            return stands.map(|stands| Work::RemoveEntry(key.clone(), stands.stands.resource_version.clone()));
        };
        let entry = entries::desired(service, stands, now);
        match stands {
            Some(stands) if stands.stands.content == entries::version(&entry) => None,
            stands => Some(Work::Entry(Box::new(entry), stands.map(|stands| stands.stands.resource_version.clone()))),
        }
    }

    fn status(&self, key: &ObjectKey, now: Timestamp) -> Option<Work> {
        let seen = self.observed.registration(key)?;
        let service = self.service(&seen.service)?;
        let registered = service.registrations.iter().find(|registered| registered.origin.name == key.name)?;
        if registered.generation != seen.generation {
            // The catalog is about to take in what was seen, or the watch to tell of what the catalog has. A status of
            // the one under the generation of the other would say what nobody checked.
            return None;
        }
        let desired = status::desired(seen, service, registered, &self.publication(seen), now);
        if status::version(&desired) == seen.status {
            return None;
        }
        let events = events::transitions(key, seen, &desired, now);
        Some(Work::Status(key.clone(), seen.resource_version.clone(), Box::new(desired), events))
    }

    fn publication(&self, seen: &SeenRegistration) -> Publication {
        if let Some(error) = self.refused.get(&seen.service) {
            return Publication::Refused(error.clone());
        }
        // While a change is being written the slices are one write behind; that is no reason to say they are not there.
        let mut said = seen.conditions.iter();
        let was = said.any(|said| said.type_ == conditions::PUBLISHED && said.status == conditions::status::TRUE);
        if was || self.slices(&seen.service).is_none() { Publication::Stands } else { Publication::Pending }
    }
}

#[cfg(test)]
mod tests;
