//! What a merge needs history or a clock for. Between merge and seal each service passes through here.
//!
//! - [`tombstones`]: pods that were there and are gone stay gone, while an EndpointSlice still names them
//! - [`removal`]: endpoints that leave all at once are held for a while
//! - [`stale`]: what a silent source said is marked, or refused
//!
//! Pure: time comes in as a parameter, and what comes out says when it wants to be asked again.

pub mod removal;
pub mod stale;
pub mod tombstones;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::input::Origin;
use crate::members::Members;
use crate::model::{Name, ServiceKey};
use crate::policy::Policy;
use crate::service::{Member, Service};
use crate::source::SourceId;

use self::removal::Removal;
use self::stale::Contacts;

/// The history of those services that have a policy.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    policies: HashMap<ServiceKey, Arc<Policy>>,
    removals: HashMap<ServiceKey, Removal>,
    contacts: Contacts,
    stale: BTreeSet<ServiceKey>,
    /// Services of which somebody is held.
    holding: BTreeSet<ServiceKey>,
    /// When a service wants to be looked at again, and the same by service.
    due: BTreeSet<(u64, ServiceKey)>,
    due_of: BTreeMap<ServiceKey, u64>,
}

// === impl Hold ===

impl Hold {
    /// Takes in a policy; whether it is another one than before.
    pub(crate) fn set_policy(&mut self, key: &ServiceKey, policy: Option<Arc<Policy>>) -> bool {
        let policy = policy.filter(|policy| **policy != Policy::default());
        let before = match &policy {
            Some(policy) => self.policies.insert(key.clone(), Arc::clone(policy)),
            None => self.policies.remove(key),
        };
        before != policy
    }

    /// Takes in a sign of life of a source; the services that it may make fresh again.
    pub(crate) fn heard(&mut self, source: SourceId, at_ms: u64) -> Vec<ServiceKey> {
        self.contacts.heard(source, at_ms);
        self.stale.iter().cloned().collect()
    }

    /// The services of a namespace of which somebody is held: word of a pod may end that.
    pub(crate) fn holding_in(&self, namespace: &Name) -> impl Iterator<Item = &ServiceKey> {
        let first = ServiceKey { namespace: Name::clone(namespace), name: "".into() };
        self.holding.range(first..).take_while(move |key| key.namespace == *namespace)
    }

    /// The services whose time has come.
    pub(crate) fn due(&mut self, now_ms: u64) -> Vec<ServiceKey> {
        let due: Vec<_> = self.due.iter().take_while(|(at, _)| *at <= now_ms).map(|(_, key)| key.clone()).collect();
        due.iter().for_each(|key| self.schedule(key, None));
        due
    }

    /// When the next service wants to be looked at.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A service is no more.
    pub(crate) fn forget(&mut self, key: &ServiceKey) {
        if !self.due_of.is_empty() || !self.removals.is_empty() || !self.stale.is_empty() {
            self.removals.remove(key);
            self.holding.remove(key);
            self.stale.remove(key);
            self.schedule(key, None);
        }
    }

    /// Applies the policy in force to a merged service. `before` is what was published of it, `said_gone` whether the
    /// owner of an instance, as it was and as it is said to be now, says that it is gone, and `origins` who speaks of the service.
    pub(crate) fn apply<'a>(
        &mut self,
        service: &mut Service,
        before: Option<&Members>,
        said_gone: impl Fn(&Member, Option<&Member>) -> bool,
        origins: impl Iterator<Item = &'a Arc<Origin>>,
        now_ms: u64,
    ) {
        let Some(policy) = self.policies.get(&service.key).cloned() else {
            self.forget(&service.key);
            return;
        };
        service.policy = *policy;
        self.holding.remove(&service.key);
        let mut next = None;
        match (&policy.removal, before) {
            (Some(guard), Some(before)) => {
                let removal = self.removals.entry(service.key.clone()).or_default();
                let held = removal.apply(guard, before, &service.endpoints, said_gone, now_ms);
                service.held = held.count;
                if let Some(members) = held.members {
                    service.endpoints = members;
                    self.holding.insert(service.key.clone());
                }
                next = held.again_ms;
            }
            _ => _ = self.removals.remove(&service.key),
        }
        self.stale.remove(&service.key);
        if let Some(staleness) = &policy.staleness {
            let silent = self.contacts.silent(origins, staleness, now_ms);
            next = [next, silent.again_ms].into_iter().flatten().min();
            if !silent.origins.is_empty() {
                self.stale.insert(service.key.clone());
                stale::mark(service, staleness, &silent.origins);
            }
        }
        let key = service.key.clone();
        self.schedule(&key, next);
    }

    fn schedule(&mut self, key: &ServiceKey, at: Option<u64>) {
        let before = match at {
            Some(at) => self.due_of.insert(key.clone(), at),
            None => self.due_of.remove(key),
        };
        if let Some(before) = before {
            self.due.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.due.insert((at, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
