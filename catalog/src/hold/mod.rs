//! What a merge needs history or a clock for. Between merge and seal each service passes through here.
//!
//! - [`tombstones`]: pods that were there and are gone stay gone, while an EndpointSlice still names them
//! - [`deregister`]: who fails for so long that its registration wants it out
//! - [`flaps`]: who falls again and again is kept out for a while
//! - [`removal`]: endpoints that leave all at once are held for a while
//! - [`stale`]: what a silent source said is marked, or refused
//!
//! Pure: time comes in as a parameter, and what comes out says when it wants to be asked again.

pub(crate) mod deregister;
pub(crate) mod flaps;
pub(crate) mod removal;
pub(crate) mod stale;
pub(crate) mod tombstones;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::evict::TimeToEvict;
use crate::hashed::HashMap;
use crate::input::Origin;
use crate::members::Members;
use crate::model::{EndpointId, Name, ServiceKey};
use crate::policy::book::Book;
use crate::policy::{Policy, Scope};
use crate::service::{Member, Registered, Service};
use crate::source::SourceId;
use crate::time::Now;

use self::flaps::Flaps;
use self::removal::Removal;
use self::stale::Contacts;
use crate::treatment::Penalty;

/// The policies, and the history of those services that one of them looks at.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    pub(crate) book: Book,
    histories: HashMap<ServiceKey, History>,
    /// Services that are gone and of which falls are remembered.
    gone: BTreeSet<ServiceKey>,
    contacts: Contacts,
    /// Services that are stale, and since when, in seconds since the epoch.
    stale: BTreeMap<ServiceKey, i64>,
    /// Services of which somebody is held.
    holding: BTreeSet<ServiceKey>,
    /// When a service wants to be looked at again, and the same by service.
    due: BTreeSet<(u64, ServiceKey)>,
    due_of: BTreeMap<ServiceKey, u64>,
}

/// What is remembered of a service.
#[derive(Debug, Default)]
struct History {
    /// What was said last.
    said: Option<Members>,
    /// What was left of that after damping.
    offered: Option<Members>,
    flaps: Flaps,
    removal: Removal,
}

/// The falls of so many services that are gone are remembered at most.
const GONE_MAX: usize = 4096;

// === impl Hold ===

impl Hold {
    /// Takes in a sign of life of a source; the services that it may make fresh again.
    pub(crate) fn heard(&mut self, source: SourceId, at_ms: u64) -> Vec<ServiceKey> {
        if self.contacts.heard(source, at_ms) { self.stale.keys().cloned().collect() } else { Vec::new() }
    }

    /// Takes up what an earlier process knew of an endpoint's falls.
    pub(crate) fn restore(&mut self, key: &ServiceKey, id: EndpointId, penalty: Penalty) {
        self.histories.entry(key.clone()).or_default().flaps.restore(id, penalty);
    }

    /// The services of a namespace of which somebody is held: word of a pod may end that.
    pub(crate) fn holding_in(&self, namespace: &Name) -> impl Iterator<Item = &ServiceKey> {
        let first = ServiceKey { namespace: Name::clone(namespace), name: "".into() };
        self.holding.range(first..).take_while(move |key| key.namespace == *namespace)
    }

    /// The services of which somebody is held.
    pub(crate) fn holding(&self) -> impl Iterator<Item = &ServiceKey> {
        self.holding.iter()
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

    /// A service is no more. How often its endpoints fell is remembered: they may be registered again.
    pub(crate) fn forget(&mut self, key: &ServiceKey, now: Now) {
        self.holding.remove(key);
        self.stale.remove(key);
        let aged = self.histories.remove(key).map(|history| history.flaps).and_then(|mut flaps| {
            let again_ms = flaps.age(now)?;
            Some((flaps, again_ms))
        });
        self.gone.remove(key);
        if let Some((flaps, again_ms)) = aged {
            self.histories.insert(key.clone(), History { flaps, ..History::default() });
            self.gone.insert(key.clone());
            self.schedule(key, Some(again_ms));
            if self.gone.len() > GONE_MAX
                && let Some(first) = self.gone.pop_first()
            {
                self.histories.remove(&first);
                self.schedule(&first, None);
            }
        } else {
            self.schedule(key, None);
        }
    }

    /// Applies the policy in force to a merged service. `said_gone` is whether the owner of an instance, as it was and as it
    /// is said to be now, says that it is gone, and `origins` is who speaks of the service.
    pub(crate) fn apply<'a>(
        &mut self,
        service: &mut Service,
        said_gone: impl Fn(&Member, Option<&Member>) -> bool,
        origins: impl Iterator<Item = &'a Arc<Origin>>,
        now: Now,
    ) {
        let policy = self.book.of(&service.key);
        service.policy = Arc::clone(&policy);
        if !policy.confirmation.asks() {
            ask_nobody(service);
        }
        let mut next = vec![deregister::apply(service, now)];
        let known = self.histories.get(&service.key).is_some_and(|history| !history.flaps.is_empty());
        if known || looks_back(&policy, service) {
            let history = self.histories.entry(service.key.clone()).or_default();
            next.push(history.damp(&policy, service, now));
            next.push(history.guard(&policy, service, said_gone, now));
            self.gone.remove(&service.key);
        } else {
            self.histories.remove(&service.key);
        }
        if service.held > 0 {
            self.holding.insert(service.key.clone());
        } else if !self.holding.is_empty() {
            self.holding.remove(&service.key);
        }
        next.push(self.judge_age(&policy, service, origins, now));
        let key = service.key.clone();
        self.schedule(&key, next.into_iter().flatten().min());
    }

    /// Marks what is stale. When something further will be.
    fn judge_age<'a>(
        &mut self,
        policy: &Policy,
        service: &mut Service,
        origins: impl Iterator<Item = &'a Arc<Origin>>,
        now: Now,
    ) -> Option<u64> {
        let silent =
            policy.staleness.map(|staleness| (staleness, self.contacts.silent(origins, &staleness, now.mono_ms)));
        let Some((staleness, silent)) = silent else {
            self.stale.remove(&service.key);
            return None;
        };
        if let Some(since_ms) = silent.since_ms {
            // Told once: two clocks that are asked one after the other differ by a moment each time.
            let age_s = i64::try_from(now.mono_ms.saturating_sub(since_ms) / 1000).unwrap_or(i64::MAX);
            let since_s = now.wall_ms.div_euclid(1000).saturating_sub(age_s);
            let since_s = *self.stale.entry(service.key.clone()).or_insert(since_s);
            stale::mark(service, &staleness, &silent.origins, since_s);
        } else {
            self.stale.remove(&service.key);
        }
        silent.again_ms
    }

    fn schedule(&mut self, key: &ServiceKey, at: Option<u64>) {
        if at.is_none() && self.due_of.is_empty() {
            return;
        }
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

/// Who asks nobody waits for nobody.
fn ask_nobody(service: &mut Service) {
    let waits = |time: TimeToEvict| !time.confirmation.is_zero();
    if !service.registrations.iter().any(|registered| registered.time_to_evict.is_some_and(waits)) {
        return;
    }
    let without = |registered: &Registered| {
        let time_to_evict = registered.time_to_evict.map(|time| TimeToEvict { confirmation: Duration::ZERO, ..time });
        Registered { time_to_evict, ..registered.clone() }
    };
    service.registrations = service.registrations.iter().map(without).collect();
}

/// Whether a policy asks what became of the endpoints of a service.
fn looks_back(policy: &Policy, service: &Service) -> bool {
    let guards = policy.removal.is_some_and(|guard| match guard.scope {
        Scope::All => true,
        Scope::Registered => !service.registrations.is_empty(),
    });
    guards || policy.damping.is_some()
}

// === impl History ===

impl History {
    /// Keeps out who fell too often. When that is to be looked at again.
    fn damp(&mut self, policy: &Policy, service: &mut Service, now: Now) -> Option<u64> {
        let before = self.said.replace(service.endpoints.clone());
        let Some(damping) = &policy.damping else {
            self.flaps = Flaps::default();
            return None;
        };
        let damped = self.flaps.apply(damping, before.as_ref(), &service.endpoints, now);
        service.damped = damped.count;
        if let Some(members) = damped.members {
            service.endpoints = members;
        }
        damped.again_ms
    }

    /// Holds who left with too many others. When the first of them is let go.
    fn guard(
        &mut self,
        policy: &Policy,
        service: &mut Service,
        said_gone: impl Fn(&Member, Option<&Member>) -> bool,
        now: Now,
    ) -> Option<u64> {
        let before = self.offered.replace(service.endpoints.clone());
        let Some(guard) = &policy.removal else {
            self.removal = Removal::default();
            return None;
        };
        let held = self.removal.apply(guard, before.as_ref(), &service.endpoints, said_gone, now.mono_ms);
        service.held = held.count;
        if let Some(members) = held.members {
            service.endpoints = members;
        }
        held.again_ms
    }
}

#[cfg(test)]
mod tests;
