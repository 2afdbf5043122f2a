//! One section of a service's endpoints as queries see it, one bucket of the stream: computed when it changes, and no other with it.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::Arc;

use super::holders::Role;
use super::model::{Endpoint, Kind, Port, Protocol, Service};

/// What is answered for the endpoints of one bucket. Immutable.
#[derive(Debug)]
pub struct Section {
    /// The endpoints that have a name of their own, sorted by label, then id.
    instances: Box<[Arc<Endpoint>]>,
    /// IPv4 addresses of a service without virtual ones, each once, sorted.
    v4: Box<[Ipv4Addr]>,
    /// The same of IPv6.
    v6: Box<[Ipv6Addr]>,
    /// The distinct names of ports, sorted; numbers of an endpoint's own ports may differ.
    ports: Box<[PortName]>,
    /// Places in `instances` of those with an IPv4 address, by address, then label: each pair once.
    at_v4: Box<[u32]>,
    /// The same for IPv6.
    at_v6: Box<[u32]>,
    /// Addresses of endpoints that lead back to nothing, sorted, each once; where that is to be known.
    silent: Box<[IpAddr]>,
    /// Distinct labels of `instances`.
    labels: usize,
    /// Whether addresses lead back here.
    leads_back: bool,
    /// How many of `instances` are given after all others.
    suspects: u32,
}

#[derive(Debug)]
pub(super) struct PortName {
    pub(super) protocol: Protocol,
    pub(super) name: Arc<str>,
    /// Places in `instances` of those that have it; `None` when all have.
    of: Option<Box<[u32]>>,
}

/// How a service's addresses lead back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backwards {
    /// They do.
    pub told: bool,
    /// Those that do not are known as well.
    pub silent: bool,
}

// === impl Section ===

impl Section {
    /// Puts endpoints of a service together. `endpoints` holds each identity once, in any order.
    pub fn new<'a>(
        service: &Service,
        endpoints: impl IntoIterator<Item = &'a Arc<Endpoint>>,
        backwards: Backwards,
    ) -> Self {
        let answered = |endpoint: &Arc<Endpoint>| match &service.kind {
            Kind::Headless => endpoint.ready || service.publish_not_ready,
            // As CoreDNS: a hostname is a name below a service with a virtual address, too; a dashed address is not.
            // That of one of several clusters is found by its cluster, too.
            Kind::ClusterIp { .. } => {
                (endpoint.has_hostname || !endpoint.place.cluster.is_empty())
                    && (endpoint.ready || service.publish_not_ready)
            }
            Kind::External { .. } => false,
        };
        let (mut instances, mut silent) = (Vec::new(), Vec::new());
        for endpoint in endpoints {
            let is_told = answered(endpoint);
            if backwards.silent && !(is_told && backwards.told) {
                silent.extend(endpoint.addresses.iter());
            }
            if is_told {
                instances.push(Arc::clone(endpoint));
            }
        }
        instances.sort_unstable_by(|a, b| (&a.label, a.id).cmp(&(&b.label, b.id)));
        silent.sort_unstable();
        silent.dedup();
        let suspects = instances.iter().filter(|endpoint| endpoint.suspect).count() as u32;
        let is_headless = matches!(service.kind, Kind::Headless);
        let own = if is_headless { &instances[..] } else { &[] };
        let ports = if is_headless { port_names(&instances) } else { Box::default() };
        let mut section = Self {
            v4: distinct(own.iter().filter_map(|endpoint| endpoint.addresses.v4())),
            v6: distinct(own.iter().filter_map(|endpoint| endpoint.addresses.v6())),
            at_v4: by_address(&instances, |endpoint| endpoint.addresses.v4()),
            at_v6: by_address(&instances, |endpoint| endpoint.addresses.v6()),
            labels: instances.chunk_by(|a, b| a.label == b.label).count(),
            instances: instances.into(),
            ports,
            silent: Box::default(),
            leads_back: backwards.told,
            suspects,
        };
        silent.retain(|address| !section.leads_from(*address));
        section.silent = silent.into();
        section
    }

    /// Sorted by label, then id.
    pub fn instances(&self) -> &[Arc<Endpoint>] {
        &self.instances
    }

    /// IPv4 addresses of a service's name, sorted, each once.
    pub fn v4(&self) -> &[Ipv4Addr] {
        &self.v4
    }

    /// IPv6 addresses of a service's name, sorted, each once.
    pub fn v6(&self) -> &[Ipv6Addr] {
        &self.v6
    }

    /// How many of its instances are given after all others.
    pub fn suspects(&self) -> usize {
        self.suspects as usize
    }

    /// How many distinct labels its instances have.
    pub fn labels(&self) -> usize {
        self.labels
    }

    pub(super) fn ports(&self) -> &[PortName] {
        &self.ports
    }

    /// The places of the instances with a label.
    pub fn places_labelled(&self, label: &[u8]) -> Range<usize> {
        let start = self.instances.partition_point(|endpoint| endpoint.label.as_bytes() < label);
        let len = self.instances[start..].partition_point(|endpoint| endpoint.label.as_bytes() == label);
        start..start + len
    }

    /// The places of the instances at an address, one for each label.
    pub fn places_at(&self, address: IpAddr) -> &[u32] {
        match address {
            IpAddr::V4(address) => self.run(&self.at_v4, |endpoint| endpoint.addresses.v4().cmp(&Some(address))),
            IpAddr::V6(address) => self.run(&self.at_v6, |endpoint| endpoint.addresses.v6().cmp(&Some(address))),
        }
    }

    /// The part of a sorted list for which `compare` says equal.
    fn run<'a>(&self, places: &'a [u32], compare: impl Fn(&Endpoint) -> Ordering) -> &'a [u32] {
        let order = |place: &u32| self.instances.get(*place as usize).map_or(Ordering::Greater, |one| compare(one));
        let begin = places.partition_point(|place| order(place).is_lt());
        let len = places[begin..].partition_point(|place| order(place).is_eq());
        &places[begin..begin + len]
    }

    /// The port of this protocol and name, if an instance has it.
    pub(super) fn port(&self, protocol: Protocol, name: &str) -> Option<&PortName> {
        let place = self.ports.binary_search_by(|port| (port.protocol, &*port.name).cmp(&(protocol, name))).ok()?;
        self.ports.get(place)
    }

    /// How many instances have a port.
    pub(super) fn count_with(&self, port: &PortName) -> usize {
        port.of.as_ref().map_or(self.instances.len(), |of| of.len())
    }

    /// One of those that have a port of this section.
    pub(super) fn with(&self, port: &PortName, at: usize) -> Option<&Arc<Endpoint>> {
        let place = match &port.of {
            Some(of) => *of.get(at)? as usize,
            None => at,
        };
        self.instances.get(place)
    }

    /// Whether all instances have a port.
    pub(super) fn all_have(&self, protocol: Protocol, name: &str) -> bool {
        self.instances.is_empty() || self.port(protocol, name).is_some_and(|port| port.of.is_none())
    }

    /// The addresses that are known of it, each once.
    pub fn addresses(&self) -> Vec<(IpAddr, Role)> {
        let endpoint = |place: &u32| self.instances.get(*place as usize);
        let v4 = self.at_v4.iter().filter_map(|place| endpoint(place)?.addresses.v4().map(IpAddr::V4));
        let v6 = self.at_v6.iter().filter_map(|place| endpoint(place)?.addresses.v6().map(IpAddr::V6));
        let told = v4.chain(v6).filter(|_| self.leads_back).map(|address| (address, Role::Endpoint));
        let mut all: Vec<_> = told.chain(self.silent.iter().map(|address| (*address, Role::Silent))).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether an address is known in a role.
    pub fn holds(&self, address: IpAddr, role: Role) -> bool {
        match role {
            Role::Virtual | Role::Exposed => false,
            Role::Endpoint => self.leads_from(address),
            Role::Silent => self.silent.binary_search(&address).is_ok(),
        }
    }

    fn leads_from(&self, address: IpAddr) -> bool {
        self.leads_back && !self.places_at(address).is_empty()
    }
}

/// A set holds a record once (RFC 2181 §5), also when two endpoints share an address.
fn distinct<A: Ord>(addresses: impl Iterator<Item = A>) -> Box<[A]> {
    let mut all: Vec<_> = addresses.collect();
    all.sort_unstable();
    all.dedup();
    all.into()
}

/// The places of endpoints with an address, sorted by it, then by label; each pair once.
fn by_address<A: Ord>(instances: &[Arc<Endpoint>], of: impl Fn(&Endpoint) -> Option<A>) -> Box<[u32]> {
    // A service has far fewer than 2^32 endpoints. They are sorted by label already, and the sort is stable.
    let mut places: Vec<_> =
        (0_u32..).zip(instances).filter_map(|(place, endpoint)| Some((of(endpoint)?, place))).collect();
    places.sort_by(|(a, _), (b, _)| a.cmp(b));
    let label = |place: u32| &instances[place as usize].label;
    places.dedup_by(|(a, place_a), (b, place_b)| a == b && label(*place_a) == label(*place_b));
    places.into_iter().map(|(_, place)| place).collect()
}

fn port_names(instances: &[Arc<Endpoint>]) -> Box<[PortName]> {
    // A port without a name has no name here (Kubernetes DNS specification 1.1.0, 2.3.2). Lists are interned: neighbours share
    // theirs, and one look at each run is enough.
    let named = |port: &&Port| !port.name.is_empty();
    let lists = instances.chunk_by(|a, b| Arc::ptr_eq(&a.ports, &b.ports));
    let all = lists.flat_map(|run| run[0].ports.iter().filter(named));
    let mut names: Vec<_> = all.map(|port| (port.protocol, Arc::clone(&port.name))).collect();
    names.sort_unstable();
    names.dedup();
    let of =
        |(protocol, name): (Protocol, Arc<str>)| PortName { of: places_of(instances, protocol, &name), protocol, name };
    names.into_iter().map(of).collect()
}

/// Which endpoints have a port; `None` when all of them do.
fn places_of(instances: &[Arc<Endpoint>], protocol: Protocol, name: &str) -> Option<Box<[u32]>> {
    let has = |ports: &[Port]| ports.iter().any(|port| port.protocol == protocol && *port.name == *name);
    let (mut places, mut place) = (Vec::new(), 0_u32);
    for run in instances.chunk_by(|a, b| Arc::ptr_eq(&a.ports, &b.ports)) {
        let end = place + run.len() as u32;
        if has(&run[0].ports) {
            places.extend(place..end);
        }
        place = end;
    }
    (places.len() < instances.len()).then(|| places.into())
}
