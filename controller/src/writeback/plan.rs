//! What a target needs: the difference between what should stand in the API and what does. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use rollcall_catalog::Snapshot;
use rollcall_catalog::digest::Version;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_catalog::policy::PolicyKey;
use rollcall_catalog::service::Service;
use rollcall_crds::conditions;

use super::apply::Work;
use super::keep::Keep;
use super::observed::{Observed, SeenRegistration, StandingSlice};
use super::queue::Target;
use super::setbacks::Setbacks;
use super::slices::{self, Cut};
use super::status::Publication;
use super::{entries, entry_labels, events, policies, status};
use crate::kubernetes::ObjectKey;

/// Plans writes from what is known at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Planner<'a> {
    /// What stands in the API.
    pub observed: &'a Observed,
    /// What the API server refused.
    pub setbacks: &'a Setbacks,
    /// What should stand there follows from this.
    pub snapshot: &'a Snapshot,
    /// The monotonic clock.
    pub now_ms: u64,
}

/// What a target needs.
#[derive(Debug, Default)]
pub struct Plan {
    /// The writes; `None` when it stands as it should, but for what is held.
    pub work: Option<Work>,
    /// Something is not to be tried until then.
    pub held_until_ms: Option<u64>,
}

/// Slices to write, by what that means for their endpoints.
#[derive(Default)]
struct Writes {
    create: Vec<EndpointSlice>,
    change: Vec<(EndpointSlice, String)>,
    delete: Vec<(ObjectKey, String)>,
    held: Option<u64>,
}

// === impl Planner ===

impl Planner<'_> {
    /// What a target needs.
    pub fn plan(&self, target: &Target, now: Timestamp) -> Plan {
        match target {
            Target::Slices(key) => self.slices(target, key),
            Target::Entry(key) => self.entry(target, key, now),
            Target::Status(key) => self.status(target, key, now),
            Target::Policy(key) => self.policy(target, key, now),
        }
    }

    fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.snapshot.get(key).map(|service| &**service)
    }

    fn slices(&self, target: &Target, key: &ServiceKey) -> Plan {
        let mut standing: BTreeMap<_, _> = self.observed.slices(key).collect();
        let service = self.service(key);
        let desired = service.map(slices::desired).unwrap_or_default();
        let refused = self.refused(target, &desired, &standing);
        let unread = self.observed.has_unreadable(&key.namespace);
        let keep = Keep::new(service, &desired, &standing, &refused, unread);
        let mut writes = Writes::default();
        for cut in &desired {
            let name = cut.name();
            let mut slice = cut.slice.clone();
            let stands = standing.remove(&name);
            if let Some(stands) = stands {
                slice.endpoints.get_or_insert_default().extend(keep.of(stands));
            }
            self.write(&mut writes, target, &name, slice, stands);
        }
        for (name, stands) in standing {
            let kept = keep.of(stands);
            let remains = service.filter(|_| !kept.is_empty());
            match remains.and_then(|service| slices::with_endpoints(service, &stands.slice(), kept)) {
                Some(slice) => self.write(&mut writes, target, name, slice, Some(stands)),
                None => {
                    let object = ObjectKey { namespace: Name::clone(&key.namespace), name: Name::clone(name) };
                    if !self.holds(&mut writes.held, target, name, Version::default(), false) {
                        writes.delete.push((object, stands.stands.resource_version.clone()));
                    }
                }
            }
        }
        writes.into_plan()
    }

    /// Desired slices that cannot be written now and do not stand with their content.
    fn refused(&self, target: &Target, desired: &[Cut], standing: &BTreeMap<&Name, &StandingSlice>) -> BTreeSet<Name> {
        let refused = |cut: &Cut, name: &Name| {
            let (content, stands) = (slices::version(&cut.slice), standing.get(name));
            stands.is_none_or(|stands| stands.stands.content != content)
                && self.setbacks.until_ms(target, name, content, stands.is_none(), self.now_ms).is_some()
        };
        desired
            .iter()
            .map(|cut| (cut, cut.name()))
            .filter(|(cut, name)| refused(cut, name))
            .map(|(_, name)| name)
            .collect()
    }

    fn write(
        &self,
        writes: &mut Writes,
        target: &Target,
        name: &Name,
        slice: EndpointSlice,
        stands: Option<&StandingSlice>,
    ) {
        let content = slices::version(&slice);
        if stands.is_some_and(|stands| stands.stands.content == content) {
            return;
        }
        let slice = match self.holds(&mut writes.held, target, name, content, stands.is_none()) {
            true => self.part(target, name, slice, stands),
            false => Some(slice),
        };
        match (slice, stands) {
            (Some(slice), Some(stands)) => writes.change.push((slice, stands.stands.resource_version.clone())),
            (Some(slice), None) => writes.create.push(slice),
            (None, _) => {}
        }
    }

    /// What of a slice that was refused can be written without the endpoints that it may have been refused for.
    fn part(
        &self,
        target: &Target,
        name: &Name,
        mut slice: EndpointSlice,
        stands: Option<&StandingSlice>,
    ) -> Option<EndpointSlice> {
        let new = slices::new_addresses(&slice, stands.map(StandingSlice::slice).as_ref());
        let now = self.setbacks.part(target, name, &new, stands.is_none())?;
        let endpoints = slice.endpoints.get_or_insert_default();
        endpoints.retain(|endpoint| {
            let address = slices::address(endpoint);
            !new.contains(address) || now.contains(address)
        });
        let differs = match stands {
            Some(stands) => stands.stands.content != slices::version(&slice),
            None => !endpoints.is_empty(),
        };
        differs.then_some(slice)
    }

    /// Whether a write is not to be tried now; until when goes to `held`.
    fn holds(&self, held: &mut Option<u64>, target: &Target, name: &Name, content: Version, creates: bool) -> bool {
        let until_ms = self.setbacks.until_ms(target, name, content, creates, self.now_ms);
        *held = [*held, until_ms].into_iter().flatten().min();
        until_ms.is_some()
    }

    fn entry(&self, target: &Target, key: &ServiceKey, now: Timestamp) -> Plan {
        let stands = self.observed.entries.get(key);
        let version = stands.map(|stands| stands.stands.resource_version.clone());
        // What exists through others' EndpointSlices alone is no service yet.
        let (work, content) = match self.service(key).filter(|service| service.exists()) {
            None => (version.map(|version| Work::RemoveEntry(key.clone(), version)), Version::default()),
            Some(service) => {
                let registrations = self.observed.registrations_of(key);
                let labels = entry_labels::of(registrations.filter_map(|key| self.observed.registration(key)));
                let entry = entries::desired(service, labels, stands, now);
                let content = entries::version(&entry);
                let differs = stands.is_none_or(|stands| stands.stands.content != content);
                (differs.then(|| Work::Entry(Box::new(entry), version)), content)
            }
        };
        let mut plan = Plan { work, held_until_ms: None };
        if plan.work.is_some() && self.holds(&mut plan.held_until_ms, target, &key.name, content, stands.is_none()) {
            plan.work = None;
        }
        plan
    }

    fn status(&self, target: &Target, key: &ObjectKey, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        if let Some(seen) = self.observed.unreadable(key) {
            let Some(desired) = seen.status(now) else { return plan };
            if !self.holds(&mut plan.held_until_ms, target, &key.name, status::version(&desired), false) {
                let version = seen.resource_version.clone();
                plan.work = Some(Work::Status(key.clone(), version, Box::new(desired), Vec::new()));
            }
            return plan;
        }
        let Some(seen) = self.observed.registration(key) else { return plan };
        let Some(service) = self.service(&seen.service) else { return plan };
        let registered = service.registrations.iter().find(|registered| registered.origin.name == key.name);
        // The catalog is about to take in what was seen, or the watch to tell of what the catalog has. A status of the one
        // under the generation of the other would say what nobody checked.
        let Some(registered) = registered.filter(|registered| registered.generation == seen.generation) else {
            return plan;
        };
        let desired = status::desired(seen, service, registered, &self.publication(&key.name, seen, service), now);
        let content = status::version(&desired);
        if content == seen.status || self.holds(&mut plan.held_until_ms, target, &key.name, content, false) {
            return plan;
        }
        let events = events::transitions(key, seen, &desired, now);
        plan.work = Some(Work::Status(key.clone(), seen.resource_version.clone(), Box::new(desired), events));
        plan
    }

    fn policy(&self, target: &Target, key: &ObjectKey, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let Some(seen) = self.observed.policies.get(key) else { return plan };
        let policy = PolicyKey { namespace: Name::clone(&key.namespace), name: Name::clone(&key.name) };
        let report = self.snapshot.policies().get(&policy);
        // The catalog is about to take in what was seen, or the watch to tell of what the catalog has.
        let Some(report) = report.filter(|report| report.statement.generation == seen.generation) else { return plan };
        let desired = policies::desired(seen, report, now);
        let content = policies::version(&desired);
        if content != seen.status && !self.holds(&mut plan.held_until_ms, target, &key.name, content, false) {
            plan.work = Some(Work::Policy(key.clone(), seen.resource_version.clone(), Box::new(desired)));
        }
        plan
    }

    fn publication(&self, registration: &Name, seen: &SeenRegistration, service: &Service) -> Publication {
        let target = Target::Slices(seen.service.clone());
        // While a change is being written the slices are one write behind; that is no reason to say they are not there.
        let stands = seen.conditions();
        let mut said = stands.iter();
        let was = said.any(|said| said.type_ == conditions::PUBLISHED && said.status == conditions::status::TRUE);
        if was && !self.setbacks.any(&target) && !self.setbacks.is_closed(&target) {
            return Publication::Stands;
        }
        let standing: BTreeMap<_, _> = self.observed.slices(&seen.service).collect();
        let mut pending = false;
        for cut in &slices::desired(service) {
            let name = cut.name();
            let stands = standing.get(&name);
            if cut.of(registration).next().is_none()
                || stands.is_some_and(|stands| stands.stands.content == slices::version(&cut.slice))
            {
                continue;
            }
            // Others in the same slice may be what it is refused for.
            let there = stands.and_then(|stands| stands.slice().endpoints).unwrap_or_default();
            if cut.of(registration).all(|endpoint| there.contains(endpoint)) {
                continue;
            }
            if let Some(words) = self.setbacks.words(&target, &name, stands.is_none()) {
                return Publication::Refused(words.to_owned());
            }
            pending = true;
        }
        if pending && !was { Publication::Pending } else { Publication::Stands }
    }
}

// === impl Writes ===

impl Writes {
    fn into_plan(self) -> Plan {
        let Self { create, change, mut delete, held } = self;
        delete.sort_unstable();
        let any = !create.is_empty() || !change.is_empty() || !delete.is_empty();
        Plan { work: any.then_some(Work::Slices { create, change, delete }), held_until_ms: held }
    }
}

#[cfg(test)]
mod tests;
