//! The catalog: the one writer's state. It takes in statements and publishes snapshots.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::guard::{Cidr, Guard, Reserved};
use crate::input::{Contribution, Input, NodeFacts, Origin, OriginKind, PodFacts, ServiceFacts, Verdict};
use crate::merge::{self, Lookup, Statements};
use crate::model::{HealthSource, Name, ServiceKey};
use crate::service::Service;
use crate::snapshot::Snapshot;

/// All that was said, and the services that have to be merged again because of it.
#[derive(Debug, Default)]
pub struct Catalog {
    statements: HashMap<ServiceKey, Statements>,
    /// Which service an origin speaks of: it may move to another.
    origins: HashMap<Arc<Origin>, ServiceKey>,
    surroundings: Surroundings,
    /// Which services have an endpoint on a pod. Pods are in the namespace of their service.
    pod_services: HashMap<PodKey, BTreeSet<Name>>,
    dirty: BTreeSet<ServiceKey>,
    /// The guard has to be put together anew before the next merge.
    guard_is_stale: bool,
    snapshot: Snapshot,
}

type PodKey = (Name, Name);

/// What merges look up beside the statements about their service.
#[derive(Debug, Default)]
struct Surroundings {
    pods: HashMap<PodKey, Arc<PodFacts>>,
    nodes: HashMap<Name, Arc<NodeFacts>>,
    verdicts: HashMap<Arc<Origin>, HashMap<Name, Verdict>>,
    service_cidrs: HashMap<Name, Arc<[Cidr]>>,
    static_guard: (Vec<Reserved>, Vec<(Name, Cidr)>),
    guard: Guard,
}

// === impl Catalog ===

impl Catalog {
    /// Takes in one statement. Nothing is merged before [`Catalog::publish`], so a burst about one service costs one
    /// merge.
    pub fn apply(&mut self, input: Input) {
        match input {
            Input::Service(key, facts) => self.apply_service(key, facts),
            Input::Contribution(contribution) => self.apply_contribution(contribution),
            Input::Gone(origin) => self.remove_origin(&origin),
            Input::Pod(namespace, name, facts) => self.apply_pod((namespace, name), facts),
            Input::Node(name, facts) => self.apply_node(name, facts),
            Input::ServiceCidr(name, blocks) => self.apply_service_cidr(name, blocks),
            Input::Verdict(origin, endpoint, verdict) => self.apply_verdict(origin, endpoint, verdict),
            Input::Guard(guard) => {
                self.surroundings.static_guard = guard.into_parts();
                self.guard_is_stale = true;
            }
        }
    }

    /// Merges what was touched and publishes a new snapshot if anything that can be told has changed.
    pub fn publish(&mut self) -> Option<Arc<Snapshot>> {
        if std::mem::take(&mut self.guard_is_stale) {
            self.refresh_guard();
        }
        let mut changed = Vec::new();
        for key in std::mem::take(&mut self.dirty) {
            let merged =
                self.statements.get(&key).and_then(|statements| merge::merge(&key, statements, &self.surroundings));
            if self.replace(&key, merged) {
                changed.push(key);
            }
        }
        if changed.is_empty() {
            return None;
        }
        self.snapshot.advance(changed);
        Some(Arc::new(self.snapshot.clone()))
    }

    /// The catalog as last published.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.snapshot.clone())
    }

    /// Puts a merged service in its place; whether anything that can be told has changed.
    fn replace(&mut self, key: &ServiceKey, merged: Option<Service>) -> bool {
        let before = self.snapshot.services.get(key);
        if before.map(|service| service.story) == merged.as_ref().map(|service| service.story) {
            return false;
        }
        if let Some(before) = before {
            self.snapshot.totals.subtract(before);
        }
        match merged {
            Some(service) => {
                self.snapshot.totals.add(&service);
                self.snapshot.services.insert(key.clone(), Arc::new(service));
            }
            None => {
                self.snapshot.services.remove(key);
            }
        }
        true
    }

    fn apply_service(&mut self, key: ServiceKey, facts: Option<Arc<ServiceFacts>>) {
        let statements = self.statements.entry(key.clone()).or_default();
        if statements.facts != facts {
            statements.facts = facts;
            self.touch_or_drop(key);
        }
    }

    fn apply_contribution(&mut self, contribution: Contribution) {
        let (origin, key) = (Arc::clone(&contribution.origin), contribution.service.clone());
        let before = self.origins.get(&origin);
        if before == Some(&key)
            && self.statements.get(&key).and_then(|said| said.contributions.get(&origin)) == Some(&contribution)
        {
            return;
        }
        if before.is_some_and(|before| *before != key) {
            self.forget_contribution(&origin);
        }
        self.index_pods(&contribution);
        self.origins.insert(Arc::clone(&origin), key.clone());
        if let Some(verdicts) = self.surroundings.verdicts.get_mut(&origin) {
            verdicts.retain(|name, _| contribution.endpoints.iter().any(|endpoint| endpoint.name == *name));
        }
        let statements = self.statements.entry(key.clone()).or_default();
        let before = statements.contributions.insert(origin, contribution);
        if let Some(before) = before {
            self.unindex_pods(&before);
        }
        self.dirty.insert(key);
    }

    fn remove_origin(&mut self, origin: &Arc<Origin>) {
        self.forget_contribution(origin);
        self.surroundings.verdicts.remove(origin);
    }

    fn forget_contribution(&mut self, origin: &Arc<Origin>) {
        let Some(key) = self.origins.remove(origin) else { return };
        let Some(statements) = self.statements.get_mut(&key) else { return };
        if let Some(before) = statements.contributions.remove(origin) {
            self.unindex_pods(&before);
        }
        self.touch_or_drop(key);
    }

    fn apply_pod(&mut self, pod: PodKey, facts: Option<Arc<PodFacts>>) {
        let pods = &mut self.surroundings.pods;
        if pods.get(&pod) == facts.as_ref() {
            return;
        }
        match facts {
            Some(facts) => pods.insert(pod.clone(), facts),
            None => pods.remove(&pod),
        };
        let services = self.pod_services.get(&pod).into_iter().flatten();
        self.dirty.extend(services.map(|name| ServiceKey { namespace: Name::clone(&pod.0), name: Name::clone(name) }));
    }

    fn apply_node(&mut self, name: Name, facts: Option<Arc<NodeFacts>>) {
        let before = match &facts {
            Some(facts) => self.surroundings.nodes.insert(Name::clone(&name), Arc::clone(facts)),
            None => self.surroundings.nodes.remove(&name),
        };
        if before == facts {
            return;
        }
        let zone = |facts: &Option<Arc<NodeFacts>>| facts.as_ref().and_then(|facts| facts.zone.clone());
        let blocks =
            |facts: &Option<Arc<NodeFacts>>| facts.as_ref().map(|facts| facts.pod_cidrs.clone()).unwrap_or_default();
        self.guard_is_stale |= blocks(&before) != blocks(&facts);
        if zone(&before) != zone(&facts) {
            self.touch(|statements| {
                statements.endpoints().any(|endpoint| endpoint.node.as_ref() == Some(&name) && endpoint.zone.is_none())
            });
        }
    }

    fn apply_service_cidr(&mut self, name: Name, blocks: Option<Arc<[Cidr]>>) {
        let before = match &blocks {
            Some(blocks) => self.surroundings.service_cidrs.insert(name, Arc::clone(blocks)),
            None => self.surroundings.service_cidrs.remove(&name),
        };
        self.guard_is_stale |= before != blocks;
    }

    fn apply_verdict(&mut self, origin: Arc<Origin>, endpoint: Name, verdict: Option<Verdict>) {
        let Some(key) = self.origins.get(&origin) else { return };
        let verdicts = self.surroundings.verdicts.entry(origin).or_default();
        let before = match verdict.clone() {
            Some(verdict) => verdicts.insert(endpoint, verdict),
            None => verdicts.remove(&endpoint),
        };
        if before != verdict {
            self.dirty.insert(key.clone());
        }
    }

    fn refresh_guard(&mut self) {
        let (reserved, allowed) = self.surroundings.static_guard.clone();
        let of_nodes = self.surroundings.nodes.iter().flat_map(|(name, node)| {
            node.pod_cidrs
                .iter()
                .map(move |block| Reserved { block: *block, owner: format!("the pods of node {name}").into() })
        });
        let of_services = self.surroundings.service_cidrs.iter().flat_map(|(name, blocks)| {
            let owner = Name::from(format!("the Services of this cluster (ServiceCIDR {name})"));
            blocks.iter().map(move |block| Reserved { block: *block, owner: Name::clone(&owner) })
        });
        let guard = Guard::new(reserved.into_iter().chain(of_nodes).chain(of_services).collect(), allowed);
        if guard != self.surroundings.guard {
            self.surroundings.guard = guard;
            self.touch(|statements| {
                statements.contributions.keys().any(|origin| origin.kind == OriginKind::ServiceRegistration)
            });
        }
    }

    fn touch(&mut self, concerned: impl Fn(&Statements) -> bool) {
        let keys = self.statements.iter().filter(|(_, statements)| concerned(statements)).map(|(key, _)| key.clone());
        self.dirty.extend(keys);
    }

    fn touch_or_drop(&mut self, key: ServiceKey) {
        if self.statements.get(&key).is_some_and(Statements::is_empty) {
            self.statements.remove(&key);
        }
        self.dirty.insert(key);
    }

    fn index_pods(&mut self, contribution: &Contribution) {
        let ServiceKey { namespace, name } = &contribution.service;
        for pod in pods_of(contribution) {
            self.pod_services.entry((Name::clone(namespace), Name::clone(pod))).or_default().insert(Name::clone(name));
        }
    }

    /// Takes out the pods that no contribution to the same service names any more.
    fn unindex_pods(&mut self, before: &Contribution) {
        let ServiceKey { namespace, name } = &before.service;
        let still: BTreeSet<_> = self
            .statements
            .get(&before.service)
            .into_iter()
            .flat_map(|said| said.contributions.values().flat_map(pods_of))
            .collect();
        for pod in pods_of(before).filter(|pod| !still.contains(pod)) {
            let entry = (Name::clone(namespace), Name::clone(pod));
            if let Some(services) = self.pod_services.get_mut(&entry) {
                services.remove(name);
                if services.is_empty() {
                    self.pod_services.remove(&entry);
                }
            }
        }
    }
}

fn pods_of(contribution: &Contribution) -> impl Iterator<Item = &Name> {
    contribution.endpoints.iter().filter_map(|endpoint| match &endpoint.health_source {
        HealthSource::Conditions { pod } => pod.as_ref(),
        HealthSource::Unchecked | HealthSource::Verdict | HealthSource::Maintenance(_) => None,
    })
}

// === impl Surroundings ===

impl Lookup for Surroundings {
    fn pod(&self, namespace: &Name, name: &Name) -> Option<&PodFacts> {
        self.pods.get(&(Name::clone(namespace), Name::clone(name))).map(|facts| &**facts)
    }

    fn node(&self, name: &str) -> Option<&NodeFacts> {
        self.nodes.get(name).map(|facts| &**facts)
    }

    fn verdict(&self, origin: &Origin, endpoint: &Name) -> Option<&Verdict> {
        self.verdicts.get(origin)?.get(endpoint)
    }

    fn guard(&self) -> &Guard {
        &self.guard
    }
}
