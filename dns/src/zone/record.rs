//! One service as queries see it: put together when it changes, so that an answer is a copy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rollcall_catalog::clusterset;

use super::choices::{Choice, Choices};
use super::holders::{self, Role, Step};
use super::model::{Endpoint, Exposed, Kind, Port, Protocol, Service, Staleness};
pub use super::places::Places;
use super::places::Runs;
use super::section::Section;
use super::sums::Sums;

/// Everything that is answered for a service's names. Immutable; a change makes a new one, which shares with the one before the
/// [`Section`]s that did not change: what is computed anew is one bucket, and sums over the buckets.
#[derive(Debug)]
pub struct Record {
    key: Arc<str>,
    service: Service,
    /// Virtual addresses.
    v4: Box<[Ipv4Addr]>,
    v6: Box<[Ipv6Addr]>,
    sections: Box<[Arc<Section>]>,
    /// Where there are several of them.
    sums: Option<Box<Sums>>,
    /// The distinct names of ports below the service, sorted.
    ports: Box<[PortName]>,
    /// The endpoints that are given under its name, where those of silent clusters are left out.
    first: Option<Box<Places>>,
    choices: Choices,
}

#[derive(Debug)]
struct PortName {
    protocol: Protocol,
    name: Arc<str>,
    /// How many endpoints up to the end of each section have it; `None` when all have.
    ends: Option<Box<[u32]>>,
}

// === impl Record ===

impl Record {
    /// Puts a service and its endpoints together. `before`: what was known of the service.
    pub fn new(key: Arc<str>, service: Service, sections: Box<[Arc<Section>]>, before: Option<&Self>) -> Self {
        let virtual_ = match &service.kind {
            Kind::ClusterIp { addresses, .. } => &addresses[..],
            Kind::Headless | Kind::External { .. } => &[],
        };
        let (v4, v6) = by_family(virtual_);
        let before = before.map(|before| (&*before.sections, before.sums.as_deref()));
        let sums = (sections.len() > 1).then(|| Box::new(Sums::of(&sections, before)));
        let ports = port_names(&service.kind, &sections);
        let mut record = Self { key, service, v4, v6, sections, sums, ports, first: None, choices: Choices::default() };
        let suspects: usize = record.sections.iter().map(|section| section.suspects()).sum();
        if suspects > 0 && suspects < record.len() && matches!(record.service.kind, Kind::Headless) {
            let all = (0_u32..).zip(record.instances());
            let heard = all.filter(|(_, endpoint)| !endpoint.suspect).map(|(place, _)| place);
            record.first = Some(Box::new(Places::Some(heard.collect())));
        }
        record
    }

    /// `NAMESPACE/NAME`.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// What its name stands for.
    pub fn kind(&self) -> &Kind {
        &self.service.kind
    }

    /// How it is reached from outside the cluster.
    pub fn exposed(&self) -> Option<&Exposed> {
        self.service.exposed.as_deref()
    }

    /// How old an answer may be.
    pub fn staleness(&self) -> Option<Staleness> {
        self.service.staleness
    }

    /// Whether the service's name exists: that of a headless service without an endpoint to answer does not
    /// (Kubernetes DNS specification 1.1.0, 2.4.1).
    pub fn exists(&self) -> bool {
        match &self.service.kind {
            Kind::Headless => !self.is_empty(),
            Kind::ClusterIp { .. } | Kind::External { .. } => true,
        }
    }

    /// How many IPv4 addresses the service's name has, each counted once.
    pub fn v4_len(&self) -> usize {
        match (&self.service.kind, &self.sums) {
            (Kind::ClusterIp { .. }, _) => self.v4.len(),
            (_, Some(sums)) => sums.v4.len(),
            (_, None) => self.sections.first().map_or(0, |section| section.v4().len()),
        }
    }

    /// One of them.
    pub fn v4_at(&self, at: usize) -> Option<Ipv4Addr> {
        match (&self.service.kind, &self.sums) {
            (Kind::ClusterIp { .. }, _) => self.v4.get(at).copied(),
            (_, Some(sums)) => sums.v4.at(at, &self.sections, |section| section.v4()),
            (_, None) => self.sections.first()?.v4().get(at).copied(),
        }
    }

    /// How many IPv6 addresses the service's name has, each counted once.
    pub fn v6_len(&self) -> usize {
        match (&self.service.kind, &self.sums) {
            (Kind::ClusterIp { .. }, _) => self.v6.len(),
            (_, Some(sums)) => sums.v6.len(),
            (_, None) => self.sections.first().map_or(0, |section| section.v6().len()),
        }
    }

    /// One of them.
    pub fn v6_at(&self, at: usize) -> Option<Ipv6Addr> {
        match (&self.service.kind, &self.sums) {
            (Kind::ClusterIp { .. }, _) => self.v6.get(at).copied(),
            (_, Some(sums)) => sums.v6.at(at, &self.sections, |section| section.v6()),
            (_, None) => self.sections.first()?.v6().get(at).copied(),
        }
    }

    /// How many endpoints have a name of their own.
    pub fn len(&self) -> usize {
        match &self.sums {
            Some(sums) => sums.instances(),
            None => self.sections.first().map_or(0, |section| section.instances().len()),
        }
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no two of them share a label.
    pub fn has_distinct_labels(&self) -> bool {
        self.sums.as_ref().is_none_or(|sums| sums.shared_labels() == 0)
            && self.sections.iter().all(|section| section.labels() == section.instances().len())
    }

    /// The endpoints that have a name of their own; within a section sorted by label.
    pub fn instances(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.sections.iter().flat_map(|section| section.instances())
    }

    /// The one at a place among them.
    pub fn instance(&self, place: usize) -> Option<&Arc<Endpoint>> {
        match &self.sums {
            Some(sums) => {
                let (section, at) = sums.instance(place);
                self.sections.get(section)?.instances().get(at)
            }
            None => self.sections.first()?.instances().get(place),
        }
    }

    /// The places of the endpoints that are chosen, without those of silent clusters unless there are no others.
    pub fn chosen(&self, choice: Choice<'_>) -> Places {
        self.choices.of(choice, self.instances())
    }

    /// The endpoints that are given under its name, where those of silent clusters are left out, since there are others.
    pub fn first(&self) -> Option<&Places> {
        self.first.as_deref()
    }

    /// The places of the endpoints with this label: several, when they share a hostname.
    pub fn places_labelled(&self, label: &[u8]) -> Places {
        let (mut runs, mut begin) = (Runs::None, 0_u32);
        for section in &self.sections {
            let run = section.places_labelled(label);
            if !run.is_empty() {
                // A service has far fewer than 2^32 endpoints.
                runs.push(begin + run.start as u32..begin + run.end as u32);
            }
            begin += section.instances().len() as u32;
        }
        runs.into()
    }

    /// Whether a label of several parts ends with this.
    pub fn has_below(&self, label: &[u8]) -> bool {
        let is_above = |instance: &[u8]| {
            let above = instance.len().checked_sub(label.len() + 1);
            above.is_some_and(|at| instance[at] == b'.' && &instance[at + 1..] == label)
        };
        self.instances().any(|endpoint| is_above(endpoint.label.as_bytes()))
    }

    /// The endpoint with a name of its own at an address, if there is one and no other.
    pub fn only_at(&self, address: IpAddr) -> Option<&Arc<Endpoint>> {
        let mut found = None;
        for section in &self.sections {
            match section.places_at(address) {
                [] => {}
                [place] if found.is_none() => found = section.instances().get(*place as usize),
                _ => return None,
            }
        }
        found
    }

    /// The endpoints with a name of their own at an address, one for each label.
    pub fn at(&self, address: IpAddr) -> Vec<&Arc<Endpoint>> {
        let of = |section: &'_ Arc<Section>| section.places_at(address).to_vec();
        let all = self
            .sections
            .iter()
            .flat_map(|section| of(section).into_iter().filter_map(|place| section.instances().get(place as usize)));
        let mut all: Vec<_> = all.collect();
        if self.sections.len() > 1 {
            all.sort_by(|a, b| a.label.cmp(&b.label));
            all.dedup_by(|a, b| a.label == b.label);
        }
        all
    }

    /// Whether there is a named port of this protocol.
    pub fn has_protocol(&self, protocol: Protocol) -> bool {
        self.ports.iter().any(|port| port.protocol == protocol)
    }

    /// The place of a port of this protocol and name among the distinct ones.
    pub fn port(&self, protocol: Protocol, name: &str) -> Option<usize> {
        self.ports.binary_search_by(|port| (port.protocol, &*port.name).cmp(&(protocol, name))).ok()
    }

    /// Protocol and name of the port at a place.
    pub fn port_at(&self, place: usize) -> Option<(Protocol, &str)> {
        let port = self.ports.get(place)?;
        Some((port.protocol, &port.name))
    }

    /// How many endpoints have the port at a place.
    pub fn count_with(&self, port: usize) -> usize {
        match self.ports.get(port) {
            Some(PortName { ends: Some(ends), .. }) => ends.last().map_or(0, |end| *end as usize),
            Some(PortName { ends: None, .. }) => self.len(),
            None => 0,
        }
    }

    /// One of those that have it.
    pub fn with(&self, port: usize, at: usize) -> Option<&Arc<Endpoint>> {
        let port = self.ports.get(port)?;
        let Some(ends) = &port.ends else { return self.instance(at) };
        let place = ends.partition_point(|end| *end as usize <= at);
        let begin = place.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| *end as usize);
        let section = self.sections.get(place)?;
        section.with(section.port(port.protocol, &port.name)?, at.checked_sub(begin)?)
    }

    /// How many owner names it stands for.
    pub fn names(&self) -> usize {
        let labels: usize = self.sections.iter().map(|section| section.labels()).sum();
        let labels = labels - self.sums.as_ref().map_or(0, |sums| sums.shared_labels());
        if self.exists() { 1 + labels + self.ports.len() } else { 0 }
    }

    /// The addresses of its own, not of endpoints, that lead back here.
    fn own_addresses(&self) -> impl Iterator<Item = (IpAddr, Role)> {
        let all = self.v4.iter().copied().map(IpAddr::V4).chain(self.v6.iter().copied().map(IpAddr::V6));
        let virtual_ = all.filter(|_| leads_back(&self.key)).map(|address| (address, Role::Virtual));
        let exposed = self.exposed().map_or(&[][..], |exposed| &exposed.addresses);
        virtual_.chain(exposed.iter().map(|address| (*address, Role::Exposed)))
    }

    /// All addresses that are known of it, sorted, each once in each role.
    fn addresses(&self) -> Vec<(IpAddr, Role)> {
        let own = self.sections.iter().flat_map(|section| section.addresses());
        let mut all: Vec<_> = self.own_addresses().chain(own).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What changes at addresses when a service is `after` and was `before`. Sections that both have are not looked at.
    pub fn steps(before: Option<&Self>, after: Option<&Self>) -> Vec<(IpAddr, Role, Step)> {
        let addresses = |record: Option<&Self>| record.map(Self::addresses).unwrap_or_default();
        let (old, new) = match (before, after) {
            (Some(old), Some(new)) if old.sections.len() == new.sections.len() => (old, new),
            _ => return holders::steps(&addresses(before), &addresses(after)).collect(),
        };
        let sorted = |record: &Self| {
            let mut all: Vec<_> = record.own_addresses().collect();
            all.sort_unstable();
            all
        };
        let mut steps: Vec<_> = holders::steps(&sorted(old), &sorted(new)).collect();
        for (was, is) in old.sections.iter().zip(&new.sections).filter(|(was, is)| !Arc::ptr_eq(was, is)) {
            steps.extend(holders::steps(&was.addresses(), &is.addresses()));
        }
        // What another section has stays.
        let held = |address: IpAddr, role: Role| new.sections.iter().any(|section| section.holds(address, role));
        steps.retain(|(address, role, step)| *step == Step::In || !held(*address, *role));
        steps
    }
}

/// Whether a service's addresses lead back to it: what stands for the exports of several clusters has them from elsewhere, where
/// they do already.
pub fn leads_back(key: &str) -> bool {
    !key.split_once('/').is_some_and(|(_, name)| clusterset::may_be_derived(name))
}

fn by_family(addresses: &[IpAddr]) -> (Box<[Ipv4Addr]>, Box<[Ipv6Addr]>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4.push(*address),
            IpAddr::V6(address) => v6.push(*address),
        }
    }
    v4.sort_unstable();
    v4.dedup();
    v6.sort_unstable();
    v6.dedup();
    (v4.into(), v6.into())
}

fn port_names(kind: &Kind, sections: &[Arc<Section>]) -> Box<[PortName]> {
    // A port without a name has no name here (Kubernetes DNS specification 1.1.0, 2.3.2).
    let named = |port: &&Port| !port.name.is_empty();
    let mut names: Vec<(Protocol, Arc<str>)> = match kind {
        Kind::ClusterIp { ports, .. } => {
            ports.iter().filter(named).map(|port| (port.protocol, Arc::clone(&port.name))).collect()
        }
        Kind::Headless => {
            let all = sections.iter().flat_map(|section| section.ports());
            all.map(|port| (port.protocol, Arc::clone(&port.name))).collect()
        }
        Kind::External { .. } => Vec::new(),
    };
    names.sort_unstable();
    names.dedup();
    let is_headless = matches!(kind, Kind::Headless);
    let of = |(protocol, name): (Protocol, Arc<str>)| {
        let ends = if is_headless { ends_with(sections, protocol, &name) } else { None };
        PortName { protocol, name, ends }
    };
    names.into_iter().map(of).collect()
}

/// How many endpoints up to the end of each section have a port; `None` when all do.
fn ends_with(sections: &[Arc<Section>], protocol: Protocol, name: &str) -> Option<Box<[u32]>> {
    if sections.iter().all(|section| section.all_have(protocol, name)) {
        return None;
    }
    let counts = sections.iter().map(|section| section.port(protocol, name).map_or(0, |port| section.count_with(port)));
    Some(
        counts
            .scan(0, |sum, count| {
                *sum += count as u32;
                Some(*sum)
            })
            .collect(),
    )
}
