//! What merges look up beside the statements about their service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::guard::{Cidr, Guard, Host, Reserved};
use crate::hashed::HashMap;
use crate::hold::tombstones::{PodKey, Tombstones};
use crate::input::{NodeFacts, Origin, Place, PodFacts, Silence, Verdict};
use crate::merge::{Lookup, Pod};
use crate::model::{Name, PodRef, ServiceKey};
use crate::policy::PolicyKey;
use crate::snapshot::Nodes;

/// Pods, nodes, verdicts, and whose addresses are whose.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pods: HashMap<PodKey, Arc<PodFacts>>,
    pub(super) tombstones: Tombstones,
    nodes: HashMap<Name, Arc<NodeFacts>>,
    /// Something of them changed since they were told last.
    nodes_changed: bool,
    pub(super) verdicts: HashMap<Arc<Origin>, HashMap<Name, Verdict>>,
    /// Of pods that a policy has checked, by their names.
    pod_verdicts: HashMap<ServiceKey, HashMap<Name, Verdict>>,
    service_cidrs: HashMap<Name, Arc<[Cidr]>>,
    guard: Guard,
    lateness: Duration,
    /// Other clusters that have been silent for too long, and the namespaces that are imported from them; `None` for all.
    silent: BTreeMap<Name, Option<Arc<BTreeSet<Name>>>>,
    /// Machines in maintenance, by the policy that says so.
    maintenance: BTreeMap<PolicyKey, Vec<(Name, Name)>>,
}

/// What a change of a pod or node means for others.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// Endpoints on it have to be looked at again.
    pub(super) endpoints: bool,
    /// Registered endpoints in these blocks have to be looked at again.
    pub(super) blocks: Vec<Cidr>,
    /// Registered endpoints with these addresses have to be looked at again.
    pub(super) addresses: Vec<IpAddr>,
}

// === impl Surroundings ===

impl Surroundings {
    /// Takes in how late probes begin; whether that is news.
    pub(super) fn apply_lateness(&mut self, lateness: Duration) -> bool {
        std::mem::replace(&mut self.lateness, lateness) != lateness
    }

    /// Takes in whether another cluster is silent; whether that is news.
    pub(super) fn apply_silence(&mut self, cluster: Name, silence: Silence) -> bool {
        match silence {
            Silence::Not => self.silent.remove(&cluster).is_some(),
            Silence::TooLong(imported) => self.silent.insert(cluster, imported.clone()) != Some(imported),
        }
    }

    /// Whether an origin is of another cluster that is silent, and of a namespace that is imported from it.
    pub(super) fn is_silent(&self, origin: &Origin) -> bool {
        let Place::Cluster(cluster) = &origin.place else { return false };
        let imported = self.silent.get(cluster);
        imported.is_some_and(|imported| imported.as_ref().is_none_or(|names| names.contains(&origin.namespace)))
    }

    /// Takes in which machines a policy has in maintenance; those of which that is news.
    pub(super) fn apply_maintenance(&mut self, key: &PolicyKey, machines: Vec<(Name, Name)>) -> Vec<Name> {
        let before = match machines.is_empty() {
            true => self.maintenance.remove(key),
            false => self.maintenance.insert(key.clone(), machines.clone()),
        };
        let before = before.unwrap_or_default();
        let gone = before.iter().filter(|machine| !machines.contains(machine));
        let new = machines.iter().filter(|machine| !before.contains(machine));
        gone.chain(new).map(|(machine, _)| Name::clone(machine)).collect()
    }

    /// Takes in what checks say of a pod of a service; whether that is news.
    pub(super) fn apply_pod_verdict(&mut self, service: &ServiceKey, pod: &Name, verdict: Option<Verdict>) -> bool {
        let before = match verdict.clone() {
            Some(verdict) => self.pod_verdicts.entry(service.clone()).or_default().insert(Name::clone(pod), verdict),
            None => {
                let of_service = self.pod_verdicts.get_mut(service);
                let before = of_service.and_then(|verdicts| verdicts.remove(pod));
                if self.pod_verdicts.get(service).is_some_and(HashMap::is_empty) {
                    self.pod_verdicts.remove(service);
                }
                before
            }
        };
        before != verdict
    }

    pub(super) fn apply_pod(&mut self, key: &PodKey, facts: Option<Arc<PodFacts>>) -> Effect {
        let before = match &facts {
            Some(facts) => self.pods.insert(key.clone(), Arc::clone(facts)),
            None => self.pods.remove(key),
        };
        if before == facts {
            return Effect::default();
        }
        let uid = |facts: &Option<Arc<PodFacts>>| facts.as_ref().and_then(|facts| facts.uid);
        if uid(&before) != uid(&facts) {
            // A name has one pod at a time, so the one before is gone.
            uid(&before).into_iter().for_each(|uid| self.tombstones.bury(key, uid));
            uid(&facts).into_iter().for_each(|uid| self.tombstones.raise(key, uid));
        }
        let ips = |facts: &Option<Arc<PodFacts>>| -> Vec<IpAddr> {
            facts.iter().filter_map(|facts| facts.addresses).flat_map(|addresses| addresses.iter()).collect()
        };
        Effect {
            endpoints: true,
            blocks: Vec::new(),
            addresses: self.resettle(&ips(&before), &ips(&facts), || Host::Pod),
        }
    }

    pub(super) fn apply_node(&mut self, name: &Name, facts: Option<Arc<NodeFacts>>) -> Effect {
        let before = match &facts {
            Some(facts) => self.nodes.insert(Name::clone(name), Arc::clone(facts)),
            None => self.nodes.remove(name),
        };
        if before == facts {
            return Effect::default();
        }
        self.nodes_changed = true;
        let place = |facts: &Option<Arc<NodeFacts>>| {
            let told = |facts: &Arc<NodeFacts>| (facts.zone.clone(), facts.region.clone(), facts.maintenance.clone());
            facts.as_ref().map(told).unwrap_or_default()
        };
        let endpoints = place(&before) != place(&facts);
        let owner = Name::from(format!("the pods of node {name}"));
        let blocks =
            |facts: &Option<Arc<NodeFacts>>| facts.as_ref().map(|facts| facts.pod_cidrs.clone()).unwrap_or_default();
        let blocks = self.reserve(&blocks(&before), &blocks(&facts), &owner);
        let ips =
            |facts: &Option<Arc<NodeFacts>>| facts.as_ref().map(|facts| facts.addresses.to_vec()).unwrap_or_default();
        let addresses = self.resettle(&ips(&before), &ips(&facts), || Host::Node(Name::clone(name)));
        Effect { endpoints, blocks, addresses }
    }

    /// All nodes, where something of them changed since the last call.
    pub(super) fn nodes_anew(&mut self) -> Option<Arc<Nodes>> {
        let all = || self.nodes.iter().map(|(name, facts)| (Name::clone(name), Arc::clone(facts)));
        std::mem::take(&mut self.nodes_changed).then(|| Arc::new(all().collect()))
    }

    pub(super) fn apply_service_cidr(&mut self, name: Name, blocks: Option<Arc<[Cidr]>>) -> Effect {
        let owner = Name::from(format!("the Services of this cluster (ServiceCIDR {name})"));
        let after = blocks.iter().flat_map(|blocks| blocks.iter().copied()).collect::<Vec<_>>();
        let before = match blocks {
            Some(blocks) => self.service_cidrs.insert(name, blocks),
            None => self.service_cidrs.remove(&name),
        };
        let before: Vec<_> = before.iter().flat_map(|blocks| blocks.iter().copied()).collect();
        Effect { blocks: self.reserve(&before, &after, &owner), ..Effect::default() }
    }

    /// Takes over the fixed part of the guard; what the cluster reserves is reserved again.
    pub(super) fn apply_guard(&mut self, fixed: Guard) {
        self.guard = fixed;
        for (name, node) in self.nodes.clone() {
            self.reserve(&[], &node.pod_cidrs, &format!("the pods of node {name}").into());
            self.resettle(&[], &node.addresses, || Host::Node(Name::clone(&name)));
        }
        for (name, blocks) in self.service_cidrs.clone() {
            self.reserve(&[], &blocks, &format!("the Services of this cluster (ServiceCIDR {name})").into());
        }
        let pods: Vec<_> = self.pods.values().filter_map(|facts| facts.addresses).flat_map(|ips| ips.iter()).collect();
        pods.into_iter().for_each(|ip| _ = self.guard.take(ip, Host::Pod));
    }

    /// The blocks that are reserved or released.
    fn reserve(&mut self, before: &[Cidr], after: &[Cidr], owner: &Name) -> Vec<Cidr> {
        let reserved = |block: &Cidr| Reserved { block: *block, owner: Name::clone(owner) };
        let gone = before.iter().filter(|block| !after.contains(block));
        let new = after.iter().filter(|block| !before.contains(block));
        gone.clone().for_each(|block| self.guard.release(&reserved(block)));
        new.clone().for_each(|block| self.guard.reserve(reserved(block)));
        gone.chain(new).copied().collect()
    }

    /// The addresses that are taken or given back.
    fn resettle(&mut self, before: &[IpAddr], after: &[IpAddr], host: impl Fn() -> Host) -> Vec<IpAddr> {
        let mut news = Vec::new();
        for ip in before.iter().filter(|ip| !after.contains(ip)) {
            if self.guard.give_back(*ip, &host()) {
                news.push(*ip);
            }
        }
        for ip in after.iter().filter(|ip| !before.contains(ip)) {
            if self.guard.take(*ip, host()) {
                news.push(*ip);
            }
        }
        news
    }
}

impl Lookup for Surroundings {
    fn pod(&self, namespace: &Name, name: &Name, pod: &PodRef) -> Pod<'_> {
        let key = (Name::clone(pod.namespace_in(namespace)), Name::clone(name));
        match self.pods.get(&key) {
            Some(facts) if pod.uid.is_none() || pod.uid == facts.uid => Pod::There(facts),
            _ if self.tombstones.is_gone(&key, pod.uid) => Pod::Gone,
            _ => Pod::Unseen,
        }
    }

    fn node(&self, name: &str) -> Option<&NodeFacts> {
        self.nodes.get(name).map(|facts| &**facts)
    }

    fn verdict(&self, origin: &Origin, endpoint: &str) -> Option<&Verdict> {
        self.verdicts.get(origin)?.get(endpoint)
    }

    fn pod_verdict(&self, service: &ServiceKey, pod: &str) -> Option<&Verdict> {
        self.pod_verdicts.get(service)?.get(pod)
    }

    fn guard(&self) -> &Guard {
        &self.guard
    }

    fn maintenance(&self, namespace: &Name, machine: &Name) -> Option<&Name> {
        let node = self.nodes.get(machine).and_then(|node| node.maintenance.as_ref());
        node.or_else(|| {
            let first = PolicyKey { namespace: Name::clone(namespace), name: "".into() };
            let own = self.maintenance.range(first..).take_while(|(key, _)| key.namespace == *namespace);
            own.flat_map(|(_, machines)| machines).find(|(name, _)| name == machine).map(|(_, reason)| reason)
        })
    }

    fn lateness(&self) -> Duration {
        self.lateness
    }
}
