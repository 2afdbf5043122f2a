//! Machines by their names, for DNS: the nodes of the cluster, and what registered endpoints say that they run on.
//!
//! A node is known by its name alone, a machine of registrations by its namespace as well: who may register in a namespace
//! gives names there, and to nobody else. Only names that DNS has are told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use rollcall_catalog::input::{NodeFacts, OriginKind};
use rollcall_catalog::members::Bucket;
use rollcall_catalog::model::Name;
use rollcall_catalog::service::{Member, Service};
use rollcall_catalog::snapshot::Nodes;
use rollcall_xds::cache::Cache;
use rollcall_xds::proto::rollcall::v1;
use rollcall_xds::resource::{Resource, ResourceType};

use super::rollcall::octets;

/// What the stream says of machines.
#[derive(Debug, Default)]
pub struct Machines {
    nodes: Arc<Nodes>,
    /// By `NAMESPACE/NAME`.
    registered: BTreeMap<String, Registered>,
    /// Of these something changed since they were told.
    touched: BTreeSet<String>,
}

/// A machine of registrations, by the endpoints on it that say so.
#[derive(Debug, Default)]
struct Registered {
    addresses: BTreeMap<IpAddr, usize>,
    zones: BTreeMap<Name, usize>,
    endpoints: usize,
}

/// An endpoint comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    In,
    Out,
}

/// Longest name that is told, as a node's may be.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

// === impl Machines ===

impl Machines {
    /// Takes in what a service was and is. Buckets that both have are not looked at.
    pub fn take(&mut self, before: Option<&Service>, now: Option<&Service>) {
        let buckets = |service: Option<&Service>| -> Vec<Arc<Bucket>> {
            service.iter().flat_map(|service| service.endpoints.buckets()).cloned().collect()
        };
        let (old, new) = (buckets(before), buckets(now));
        let at = |all: &[Arc<Bucket>], at: usize, bucket: &Arc<Bucket>| {
            all.get(at).is_some_and(|other| Arc::ptr_eq(bucket, other))
        };
        let come = new.iter().enumerate().filter(|(place, bucket)| !at(&old, *place, bucket));
        let gone = old.iter().enumerate().filter(|(place, bucket)| !at(&new, *place, bucket));
        let steps = come.map(|(_, bucket)| (bucket, Step::In)).chain(gone.map(|(_, bucket)| (bucket, Step::Out)));
        for (member, step) in steps.flat_map(|(bucket, step)| bucket.members.iter().map(move |member| (member, step))) {
            self.step(member, step);
        }
    }

    fn step(&mut self, member: &Member, step: Step) {
        let machine = member.endpoint.attributes.machine.as_deref();
        let registered = member.origin.kind == OriginKind::ServiceRegistration;
        let Some(name) = machine.filter(|_| registered).and_then(dns_name) else { return };
        let name = format!("{}/{name}", member.origin.namespace);
        let known = self.registered.entry(name.clone()).or_default();
        for address in member.endpoint.addresses.iter() {
            count(&mut known.addresses, &address, step);
        }
        if let Some(zone) = &member.zone {
            count(&mut known.zones, zone, step);
        }
        known.endpoints = match step {
            Step::In => known.endpoints + 1,
            Step::Out => known.endpoints.saturating_sub(1),
        };
        self.touched.insert(name);
    }

    /// Brings the resources up to date.
    pub fn tell(&mut self, nodes: &Arc<Nodes>, cache: &mut Cache) {
        for name in std::mem::take(&mut self.touched) {
            match self.registered.get(&name).filter(|known| known.endpoints > 0) {
                Some(known) => _ = cache.upsert(ResourceType::Machine, known.resource(&name)),
                None => {
                    self.registered.remove(&name);
                    cache.remove(ResourceType::Machine, &name);
                }
            }
        }
        if Arc::ptr_eq(nodes, &self.nodes) {
            return;
        }
        for (name, facts) in nodes.iter().filter(|(name, facts)| self.nodes.get(*name) != Some(*facts)) {
            if let Some(name) = dns_name(name) {
                cache.upsert(ResourceType::Machine, node(&name, facts));
            }
        }
        for name in self.nodes.keys().filter(|name| !nodes.contains_key(*name)) {
            cache.remove(ResourceType::Machine, name);
        }
        self.nodes = Arc::clone(nodes);
    }
}

fn count<K: Ord + Clone>(all: &mut BTreeMap<K, usize>, key: &K, step: Step) {
    match (step, all.get_mut(key)) {
        (Step::In, Some(count)) => *count += 1,
        (Step::In, None) => _ = all.insert(key.clone(), 1),
        (Step::Out, Some(count)) if *count > 1 => *count -= 1,
        (Step::Out, _) => _ = all.remove(key),
    }
}

// === impl Registered ===

impl Registered {
    fn resource(&self, name: &str) -> Resource {
        // One that its endpoints do not agree upon is none.
        let mut zones = self.zones.keys();
        let zone = zones.next().filter(|_| zones.next().is_none());
        let message = v1::Machine {
            addresses: self.addresses.keys().map(|ip| octets(*ip)).collect(),
            zone: zone.map_or_else(String::new, ToString::to_string),
            region: String::new(),
        };
        Resource::new(ResourceType::Machine, name, &message)
    }
}

fn node(name: &str, facts: &NodeFacts) -> Resource {
    let message = v1::Machine {
        addresses: facts.reached_at.iter().map(|ip| octets(*ip)).collect(),
        zone: facts.zone.as_deref().unwrap_or_default().to_owned(),
        region: facts.region.as_deref().unwrap_or_default().to_owned(),
    };
    Resource::new(ResourceType::Machine, name, &message)
}

/// A machine's name as DNS has it, in lower case; `None` for what is no host's name.
fn dns_name(name: &str) -> Option<String> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(inner);
    let is_name = name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label);
    is_name.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::Catalog;
    use rollcall_catalog::input::Input;
    use rollcall_catalog::model::Attributes;
    use rollcall_catalog::time::Now;

    use super::*;
    use crate::testing::*;
    use prost::Message as _;

    /// Endpoints of `shop/payments`, each on a machine, at an address, in a zone.
    fn on_machines(all: &[(&str, &str, &str)]) -> Input {
        let endpoint = |(at, (machine, address, zone)): (usize, &(&str, &str, &str))| {
            let attributes = Arc::new(Attributes { machine: Some((*machine).into()), ..Attributes::default() });
            let zone = (!zone.is_empty()).then(|| (*zone).into());
            let endpoint = vm(&format!("vm-{at}"), address);
            Arc::new(endpoint.with(|described| (described.attributes, described.zone) = (attributes, zone)))
        };
        registered("payments", all.iter().enumerate().map(endpoint).collect())
    }

    fn of_node(addresses: &[&str], zone: &str) -> Option<Arc<NodeFacts>> {
        let reached_at: Box<[IpAddr]> = addresses.iter().map(|ip| ip.parse().expect("an address")).collect();
        let (addresses, pod_cidrs) = (reached_at.clone(), Vec::new());
        let zone = Some(zone.into());
        Some(Arc::new(NodeFacts { zone, region: None, addresses, reached_at, pod_cidrs, maintenance: None }))
    }

    /// After each step, what is told of each machine: how many addresses, and the zone.
    fn told(steps: Vec<Vec<Input>>) -> Vec<Vec<(String, usize, String)>> {
        let (mut catalog, mut machines, mut cache) = (Catalog::default(), Machines::default(), Cache::new());
        let mut before: BTreeMap<_, Arc<Service>> = BTreeMap::new();
        let step = |inputs: Vec<Input>| {
            inputs.into_iter().for_each(|input| catalog.apply(input));
            catalog.publish(Now::default());
            let snapshot = catalog.snapshot();
            let now: BTreeMap<_, _> = snapshot.services().map(|one| (one.key.clone(), Arc::clone(one))).collect();
            for key in before.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
                machines.take(before.get(key).map(|one| &**one), now.get(key).map(|one| &**one));
            }
            before = now;
            machines.tell(snapshot.nodes(), &mut cache);
            let published = cache.publish();
            let all = published.iter(ResourceType::Machine).map(|resource| {
                let message = v1::Machine::decode(resource.body()).expect("a machine");
                (resource.name.to_string(), message.addresses.len(), message.zone)
            });
            all.collect::<BTreeSet<_>>().into_iter().collect()
        };
        steps.into_iter().map(step).collect()
    }

    fn row(name: &str, addresses: usize, zone: &str) -> (String, usize, String) {
        (name.to_owned(), addresses, zone.to_owned())
    }

    #[test]
    fn nodes_are_told_by_their_names_and_machines_of_registrations_by_their_namespace() {
        let node = |name: &str, facts| Input::Node(name.into(), facts);
        let all = told(vec![
            vec![
                node("node-a", of_node(&["192.0.2.7", "fd00::7"], "eu-1a")),
                on_machines(&[("Host-1", "198.51.100.1", "eu-1b"), ("host-1", "198.51.100.2", "eu-1b")]),
            ],
            vec![node("node-a", of_node(&["192.0.2.8"], "eu-1b")), node("node-b", of_node(&[], ""))],
            vec![node("node-a", None), on_machines(&[("host-1", "198.51.100.1", ""), ("host-2", "198.51.100.2", "")])],
            vec![on_machines(&[("host-2", "198.51.100.2", "eu-1a"), ("host-2", "198.51.100.3", "eu-1b")])],
            vec![on_machines(&[])],
        ]);
        let expected = vec![
            vec![row("node-a", 2, "eu-1a"), row("shop/host-1", 2, "eu-1b")],
            vec![row("node-a", 1, "eu-1b"), row("node-b", 0, ""), row("shop/host-1", 2, "eu-1b")],
            vec![row("node-b", 0, ""), row("shop/host-1", 1, ""), row("shop/host-2", 1, "")],
            vec![row("node-b", 0, ""), row("shop/host-2", 2, "")],
            vec![row("node-b", 0, "")],
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_machine_that_dns_has_no_name_for_is_not_told() {
        let long = "x".repeat(64);
        for name in ["rack 7", "a/b", "", "a..b", ".a", "ä", &long, &["x"; 130].join(".")] {
            let all = told(vec![vec![on_machines(&[(name, "198.51.100.1", "")])]]);
            assert_eq!(all, [vec![]], "{name:?}");
        }
        assert_eq!(dns_name("ip-10-0-0-1.EC2.internal").as_deref(), Some("ip-10-0-0-1.ec2.internal"));
    }
}
