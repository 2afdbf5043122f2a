//! For each policy, the services that it is in force for and what it does to them: kept as services are published, so that
//! one changed service costs its own policies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::input::CheckVerdict;
use crate::model::{Addresses, Health, Name};
use crate::policy::book::Book;
use crate::policy::{PolicyKey, Section, Statement};
use crate::service::{Member, Service};

/// What became of a policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// What it says.
    pub statement: Arc<Statement>,
    /// The older policy with the same target, which is in force in its place.
    pub loses_to: Option<Name>,
    /// The services of which a section is in force, with those sections; the first [`SERVICES_MAX`] by name.
    pub services: Vec<(Name, Vec<Section>)>,
    /// All of them.
    pub services_total: usize,
    /// Endpoints that its guard holds.
    pub held: usize,
    /// Endpoints that its damping keeps out.
    pub damped: usize,
    /// Services that are stale by its bound.
    pub stale: usize,
    /// Pods that its checks take out of the answers: the first [`FAILING_MAX`].
    pub failing: Vec<FailingPod>,
    /// All of them.
    pub failing_total: usize,
}

/// A pod that the checks of a policy take out of the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingPod {
    /// The service.
    pub service: Name,
    /// The pod, by its name.
    pub pod: Name,
    /// The addresses that were looked at.
    pub addresses: Addresses,
    /// What each check says.
    pub checks: Arc<[CheckVerdict]>,
}

/// As many failing pods as a status lists, and of which a process that starts knows.
pub const FAILING_MAX: usize = 100;

/// As many services as a status lists.
pub const SERVICES_MAX: usize = 20;

/// All policies by what they are in force for.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    tallies: BTreeMap<PolicyKey, Tally>,
    dirty: BTreeSet<PolicyKey>,
}

#[derive(Debug, Default)]
struct Tally {
    services: BTreeMap<Name, Effect>,
    held: usize,
    damped: usize,
    stale: usize,
    failing: usize,
}

/// What a policy does to one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Effect {
    sections: Vec<Section>,
    held: usize,
    damped: usize,
    stale: bool,
    failing: Vec<FailingPod>,
    failing_total: usize,
}

// === impl Reports ===

impl Reports {
    /// A policy has come, gone or changed.
    pub(crate) fn touch(&mut self, key: &PolicyKey) {
        self.dirty.insert(key.clone());
    }

    /// Others with the same target may win or lose by it.
    pub(crate) fn touch_all<'a>(&mut self, keys: impl Iterator<Item = &'a PolicyKey>) {
        self.dirty.extend(keys.cloned());
    }

    /// A service is published anew, or no more.
    pub(crate) fn replace(&mut self, before: Option<&Service>, after: Option<&Service>) {
        let (old, new) = (effects(before), effects(after));
        if old == new {
            return;
        }
        let Some(service) = before.or(after).map(|service| Name::clone(&service.key.name)) else { return };
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            self.put(key, &service, None);
        }
        for (key, effect) in new {
            if old.get(&key) != Some(&effect) {
                self.put(&key, &service, Some(effect));
            }
        }
    }

    /// The reports of those that have changed since the last call; `None` for a policy that is gone.
    pub(crate) fn news(&mut self, book: &Book) -> Vec<(PolicyKey, Option<Arc<Report>>)> {
        if self.dirty.is_empty() {
            return Vec::new();
        }
        let mut news: BTreeMap<_, _> = std::mem::take(&mut self.dirty).into_iter().map(|key| (key, None)).collect();
        for (key, statement, loses_to) in book.each() {
            if let Some(report) = news.get_mut(key) {
                let report_of = |tally: &Tally| tally.report(statement, loses_to.cloned());
                let tally = self.tallies.get(key).map_or_else(|| report_of(&Tally::default()), report_of);
                *report = Some(Arc::new(tally));
            }
        }
        news.into_iter().collect()
    }

    fn put(&mut self, key: &PolicyKey, service: &Name, effect: Option<Effect>) {
        self.dirty.insert(key.clone());
        let tally = self.tallies.entry(key.clone()).or_default();
        let before = match effect.clone() {
            Some(effect) => tally.services.insert(Name::clone(service), effect),
            None => tally.services.remove(service),
        };
        let (before, effect) = (before.unwrap_or_default(), effect.unwrap_or_default());
        tally.held = tally.held + effect.held - before.held;
        tally.damped = tally.damped + effect.damped - before.damped;
        tally.failing = tally.failing + effect.failing_total - before.failing_total;
        tally.stale = tally.stale + usize::from(effect.stale) - usize::from(before.stale);
        if tally.services.is_empty() {
            self.tallies.remove(key);
        }
    }
}

// === impl Tally ===

impl Tally {
    fn report(&self, statement: &Arc<Statement>, loses_to: Option<Name>) -> Report {
        let listed = self.services.iter().take(SERVICES_MAX);
        Report {
            statement: Arc::clone(statement),
            loses_to,
            services: listed.map(|(name, effect)| (Name::clone(name), effect.sections.clone())).collect(),
            services_total: self.services.len(),
            held: self.held,
            damped: self.damped,
            stale: self.stale,
            failing: self.services.values().flat_map(|effect| &effect.failing).take(FAILING_MAX).cloned().collect(),
            failing_total: self.failing,
        }
    }
}

/// By policy, what it does to a service. What exists through EndpointSlices alone is told of to nobody.
fn effects(service: Option<&Service>) -> BTreeMap<PolicyKey, Effect> {
    let mut effects: BTreeMap<PolicyKey, Effect> = BTreeMap::new();
    let Some(service) = service.filter(|service| service.exists()) else { return effects };
    for section in Section::ALL {
        let Some(name) = service.policy.source(section) else { continue };
        let key = PolicyKey { namespace: Name::clone(&service.key.namespace), name: Name::clone(name) };
        let effect = effects.entry(key).or_default();
        effect.sections.push(section);
        match section {
            Section::Guard => effect.held = service.held,
            Section::Damping => effect.damped = service.damped,
            Section::Staleness => effect.stale = service.stale.is_some(),
            Section::Confirmation | Section::Warning => {}
            Section::PodChecks => (effect.failing, effect.failing_total) = failing(service),
        }
    }
    effects
}

/// The pods of a service that checks take out, and how many there are.
fn failing(service: &Service) -> (Vec<FailingPod>, usize) {
    let fails =
        |member: &&Member| member.is_pod_there && member.checks.iter().any(|check| check.health == Health::Critical);
    let failing = |member: &Member| FailingPod {
        service: Name::clone(&service.key.name),
        pod: member.endpoint.name().to_name(),
        addresses: member.endpoint.addresses,
        checks: Arc::clone(&member.checks),
    };
    if service.policy.pod_checks.is_none() {
        return (Vec::new(), 0);
    }
    let mut all: Vec<_> = service.endpoints.iter().filter(fails).map(failing).collect();
    let total = all.len();
    // By name, and not as they lie: the status is not written for what changes places.
    all.sort_by(|a, b| a.pod.cmp(&b.pod));
    all.truncate(FAILING_MAX);
    (all, total)
}
