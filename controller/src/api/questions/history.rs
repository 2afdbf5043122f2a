//! The last transitions of each endpoint: what it was, what it became, when and why. Pure, and bounded.

use std::collections::{HashMap, VecDeque};
use std::iter::Peekable;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::{EndpointId, Health, Name, ServiceKey};
use rollcall_catalog::service::{Member, Service};

/// Transitions by service and endpoint, of this process since it started.
#[derive(Debug, Default)]
pub struct Histories(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_service: HashMap<ServiceKey, HashMap<EndpointId, Past>>,
    endpoints: usize,
}

/// What is remembered of one endpoint.
#[derive(Clone, Debug)]
pub struct Past {
    /// Its name.
    pub name: Name,
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// Oldest first.
    pub transitions: VecDeque<Transition>,
}

/// One change of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// What it was; `None`: it was not there.
    pub from: Option<Health>,
    /// What it became; `None`: it went.
    pub to: Option<Health>,
    /// Whether callers are given it from then on.
    pub callable: bool,
    /// Why, in plain words.
    pub reason: Name,
}

/// Of one endpoint.
const TRANSITIONS_MAX: usize = 16;
/// Endpoints remembered. Those that have not changed for longest are forgotten, half of all at a time.
const ENDPOINTS_MAX: usize = 16_384;

// === impl Histories ===

impl Histories {
    /// Takes in how a service changed.
    pub fn observe(&self, before: Option<&Arc<Service>>, after: Option<&Arc<Service>>, now_ms: i64) {
        let Some(key) = after.or(before).map(|service| &service.key) else { return };
        let changed = changed(before.map(|service| &**service), after.map(|service| &**service));
        if changed.is_empty() {
            return;
        }
        let mut held = self.held();
        for (was, is) in changed {
            held.add(
                key,
                was,
                is,
                now_ms,
                after.or(before).is_some_and(|service| is.is_some_and(|is| service.gives(is))),
            );
        }
        held.bound();
    }

    /// The transitions of an endpoint, oldest first.
    pub fn of(&self, key: &ServiceKey, id: EndpointId) -> Vec<Transition> {
        let held = self.held();
        let past = held.by_service.get(key).and_then(|pasts| pasts.get(&id));
        past.map(|past| past.transitions.iter().cloned().collect()).unwrap_or_default()
    }

    /// Those of a service that are remembered and not there any more, by name.
    pub fn gone(&self, service: &Service) -> Vec<Past> {
        let held = self.held();
        let Some(pasts) = held.by_service.get(&service.key) else { return Vec::new() };
        let went = |past: &&Past| past.transitions.back().is_some_and(|last| last.to.is_none());
        let mut gone: Vec<_> = pasts.values().filter(went).cloned().collect();
        gone.sort_by(|a, b| a.name.cmp(&b.name));
        gone
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Held ===

impl Held {
    fn add(&mut self, key: &ServiceKey, was: Option<&Member>, is: Option<&Member>, now_ms: i64, callable: bool) {
        let Some(member) = is.or(was) else { return };
        let gone = || "its origin names it no longer".into();
        let transition = Transition {
            at_ms: now_ms,
            from: was.map(|was| was.health),
            to: is.map(|is| is.health),
            callable,
            reason: is.map_or_else(gone, |is| Name::clone(&is.reason)),
        };
        let endpoints = &mut self.endpoints;
        let past = self.by_service.entry(key.clone()).or_default().entry(member.id).or_insert_with(|| {
            *endpoints += 1;
            let (name, origin) = (member.endpoint.name().to_name(), Arc::clone(&member.origin));
            Past { name, origin, transitions: VecDeque::new() }
        });
        if past.transitions.len() == TRANSITIONS_MAX {
            past.transitions.pop_front();
        }
        past.transitions.push_back(transition);
    }

    fn bound(&mut self) {
        if self.endpoints <= ENDPOINTS_MAX {
            return;
        }
        let last = |past: &Past| past.transitions.back().map_or(0, |last| last.at_ms);
        let mut times: Vec<_> = self.by_service.values().flat_map(HashMap::values).map(last).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let (median, mut room) = (*median, ENDPOINTS_MAX / 2);
        self.by_service.retain(|_, pasts| {
            pasts.retain(|_, past| {
                let stays = last(past) >= median && room > 0;
                room -= usize::from(stays);
                stays
            });
            !pasts.is_empty()
        });
        self.endpoints = self.by_service.values().map(HashMap::len).sum();
    }
}

/// The endpoints that are there in one of them only, or that differ in what callers are told of their health.
fn changed<'a>(
    before: Option<&'a Service>,
    after: Option<&'a Service>,
) -> Vec<(Option<&'a Member>, Option<&'a Member>)> {
    let mut changed = Vec::new();
    let buckets = |service: &'a Service| service.endpoints.buckets();
    if let (Some(before), Some(after)) = (before, after)
        && before.buckets() == after.buckets()
    {
        for (was, is) in buckets(before).zip(buckets(after)).filter(|(was, is)| !Arc::ptr_eq(was, is)) {
            compare(was.members.iter(), is.members.iter(), &mut changed);
        }
        return changed;
    }
    let members = |service: Option<&'a Service>| service.into_iter().flat_map(|service| service.endpoints.iter());
    compare(members(before), members(after), &mut changed);
    changed
}

/// Both are sorted by identity.
fn compare<'a>(
    before: impl Iterator<Item = &'a Member>,
    after: impl Iterator<Item = &'a Member>,
    changed: &mut Vec<(Option<&'a Member>, Option<&'a Member>)>,
) {
    let (mut before, mut after) = (before.peekable(), after.peekable());
    while let Some(id) = first(&mut before, &mut after) {
        let was = before.next_if(|member| member.id == id);
        let is = after.next_if(|member| member.id == id);
        let same = |was: &Member, is: &Member| was.health == is.health && was.conditions.ready == is.conditions.ready;
        if !was.zip(is).is_some_and(|(was, is)| same(was, is)) {
            changed.push((was, is));
        }
    }
}

fn first<'a>(
    before: &mut Peekable<impl Iterator<Item = &'a Member>>,
    after: &mut Peekable<impl Iterator<Item = &'a Member>>,
) -> Option<EndpointId> {
    match (before.peek(), after.peek()) {
        (Some(was), Some(is)) => Some(was.id.min(is.id)),
        (Some(one), None) | (None, Some(one)) => Some(one.id),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::input::Input;
    use rollcall_catalog::model::HealthSource;

    use super::*;
    use crate::testing::{cluster_ip, merged, offered, registered, vm};

    fn service(endpoints: &[(&str, bool)]) -> Arc<Service> {
        let endpoint = |(at, (name, up)): (usize, &(&str, bool))| {
            let ips = format!("192.0.2.{}", at + 1);
            match up {
                true => vm(name, &ips),
                false => offered(name, &ips, HealthSource::Maintenance("new disk".into())),
            }
        };
        let inputs: [Input; 2] =
            [cluster_ip("payments"), registered("payments", endpoints.iter().enumerate().map(endpoint).collect())];
        merged(inputs)
    }

    #[test]
    fn transitions_are_told_once_with_their_time_and_reason() {
        let histories = Histories::default();
        let (both, one, none) =
            (service(&[("a", true), ("b", true)]), service(&[("a", true), ("b", false)]), service(&[("a", true)]));
        histories.observe(Some(&both), Some(&both), 1);
        histories.observe(Some(&both), Some(&one), 2);
        histories.observe(Some(&one), Some(&one.clone()), 3);
        let id = both.endpoints.iter().find(|member| &*member.endpoint.name() == "b").expect("b").id;
        let told = histories.of(&both.key, id);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].at_ms, told[0].from, told[0].to), (2, Some(Health::Passing), Some(Health::Maintenance)));
        assert!(told[0].reason.contains("new disk") && !told[0].callable, "{told:?}");
        histories.observe(Some(&one), Some(&none), 4);
        let gone = histories.gone(&none);
        assert_eq!((gone.len(), &*gone[0].name, gone[0].transitions.len()), (1, "b", 2));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let histories = Histories::default();
        let (up, down) = (service(&[("a", true)]), service(&[("a", false)]));
        for at_ms in 0..100 {
            histories.observe(Some(&up), Some(&down), at_ms);
            histories.observe(Some(&down), Some(&up), at_ms);
        }
        let told = histories.of(&up.key, up.endpoints[0].id);
        assert_eq!((told.len(), told[15].at_ms), (TRANSITIONS_MAX, 99));
        let mut held = histories.held();
        for n in 0..ENDPOINTS_MAX as u64 + 10 {
            let mut member = up.endpoints[0].clone();
            member.id = EndpointId(n);
            held.add(&up.key, None, Some(&member), 100, true);
            held.bound();
            assert!(held.endpoints <= ENDPOINTS_MAX);
        }
    }
}
