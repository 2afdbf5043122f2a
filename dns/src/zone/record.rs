//! One service as queries see it: computed when it changes, so that an answer is a copy.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::Arc;

use super::holders::Role;
use super::model::{Endpoint, Kind, Port, Protocol, Service, Staleness};

/// Everything that is answered for a service's names. Immutable; a change makes a new one.
///
/// Pre-encoded answers belong here: they live exactly as long as what they were made from.
#[derive(Debug)]
pub struct Record {
    key: Arc<str>,
    service: Service,
    v4: Box<[Ipv4Addr]>,
    v6: Box<[Ipv6Addr]>,
    /// The endpoints that have a name of their own, sorted by label, then id.
    instances: Box<[Arc<Endpoint>]>,
    /// The distinct names of ports below the service, sorted; numbers of an endpoint's own ports may differ.
    ports: Box<[PortName]>,
    /// Places in `instances` of those with an IPv4 address, by address, then label: each pair once.
    at_v4: Box<[u32]>,
    /// The same for IPv6.
    at_v6: Box<[u32]>,
}

#[derive(Debug)]
struct PortName {
    protocol: Protocol,
    name: Arc<str>,
    /// Places in `instances` of those that have it; `None` when all have.
    of: Option<Box<[u32]>>,
}

// === impl Record ===

impl Record {
    /// Puts a service and its endpoints together. `endpoints` holds each identity once, in any order.
    pub fn new<'a>(key: Arc<str>, service: Service, endpoints: impl IntoIterator<Item = &'a Arc<Endpoint>>) -> Self {
        let answered = |endpoint: &&Arc<Endpoint>| match &service.kind {
            Kind::Headless => endpoint.ready || service.publish_not_ready,
            // As CoreDNS: a hostname is a name below a service with a virtual address, too; a dashed address is not.
            Kind::ClusterIp { .. } => endpoint.has_hostname && (endpoint.ready || service.publish_not_ready),
            Kind::External { .. } => false,
        };
        let mut instances: Vec<_> = endpoints.into_iter().filter(answered).cloned().collect();
        instances.sort_unstable_by(|a, b| (&a.label, a.id).cmp(&(&b.label, b.id)));
        let addresses: Vec<IpAddr> = match &service.kind {
            Kind::Headless => instances.iter().flat_map(|endpoint| endpoint.addresses.iter()).collect(),
            Kind::ClusterIp { addresses, .. } => addresses.to_vec(),
            Kind::External { .. } => Vec::new(),
        };
        let (v4, v6) = by_family(addresses);
        let ports = port_names(&service.kind, &instances);
        let at_v4 = by_address(&instances, |endpoint| endpoint.addresses.v4());
        let at_v6 = by_address(&instances, |endpoint| endpoint.addresses.v6());
        Self { key, service, v4, v6, instances: instances.into(), ports, at_v4, at_v6 }
    }

    /// `NAMESPACE/NAME`.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// What its name stands for.
    pub fn kind(&self) -> &Kind {
        &self.service.kind
    }

    /// How old an answer may be.
    pub fn staleness(&self) -> Option<Staleness> {
        self.service.staleness
    }

    /// Whether the service's name exists: that of a headless service without an endpoint to answer does not
    /// (Kubernetes DNS specification 1.1.0, 2.4.1).
    pub fn exists(&self) -> bool {
        match &self.service.kind {
            Kind::Headless => !self.instances.is_empty(),
            Kind::ClusterIp { .. } | Kind::External { .. } => true,
        }
    }

    /// IPv4 addresses of the service's name, each once.
    pub fn v4(&self) -> &[Ipv4Addr] {
        &self.v4
    }

    /// IPv6 addresses of the service's name, each once.
    pub fn v6(&self) -> &[Ipv6Addr] {
        &self.v6
    }

    /// The endpoints that have a name of their own, sorted by label.
    pub fn instances(&self) -> &[Arc<Endpoint>] {
        &self.instances
    }

    /// The endpoints with this label: several, when they share a hostname.
    pub fn labelled(&self, label: &[u8]) -> &[Arc<Endpoint>] {
        &self.instances[self.places_labelled(label)]
    }

    /// Their places in [`Self::instances`].
    pub fn places_labelled(&self, label: &[u8]) -> Range<usize> {
        let start = self.instances.partition_point(|endpoint| endpoint.label.as_bytes() < label);
        let len = self.instances[start..].partition_point(|endpoint| endpoint.label.as_bytes() == label);
        start..start + len
    }

    /// The places of the endpoints with a name of their own at an address, one for each label.
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

    /// The places of the endpoints that have the port at a place; `None` when all may.
    pub fn places_of(&self, place: usize) -> Option<&[u32]> {
        self.ports.get(place)?.of.as_deref()
    }

    /// How many owner names it stands for.
    pub fn names(&self) -> usize {
        let labels = self.instances.chunk_by(|a, b| a.label == b.label).count();
        if self.exists() { 1 + labels + self.ports.len() } else { 0 }
    }

    /// The addresses that lead back here, sorted, each once in each role.
    pub fn reverse_addresses(&self) -> Vec<(IpAddr, Role)> {
        let (own, has_virtual) = match self.service.kind {
            Kind::ClusterIp { .. } => (Role::Virtual, true),
            Kind::Headless | Kind::External { .. } => (Role::Endpoint, false),
        };
        let all = self.v4.iter().copied().map(IpAddr::V4).chain(self.v6.iter().copied().map(IpAddr::V6));
        let mut addresses: Vec<_> = all.map(|address| (address, own)).collect();
        if has_virtual {
            let endpoints = self.instances.iter().flat_map(|endpoint| endpoint.addresses.iter());
            addresses.extend(endpoints.map(|address| (address, Role::Endpoint)));
            addresses.sort_unstable();
            addresses.dedup();
        }
        addresses
    }
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

fn by_family(addresses: Vec<IpAddr>) -> (Box<[Ipv4Addr]>, Box<[Ipv6Addr]>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4.push(address),
            IpAddr::V6(address) => v6.push(address),
        }
    }
    // A set holds a record once (RFC 2181 §5), also when two endpoints share an address.
    v4.sort_unstable();
    v4.dedup();
    v6.sort_unstable();
    v6.dedup();
    (v4.into(), v6.into())
}

fn port_names(kind: &Kind, instances: &[Arc<Endpoint>]) -> Box<[PortName]> {
    // A port without a name has no name here (Kubernetes DNS specification 1.1.0, 2.3.2).
    let named = |port: &&Port| !port.name.is_empty();
    let name = |port: &Port| (port.protocol, Arc::clone(&port.name));
    let mut names: Vec<_> = match kind {
        Kind::ClusterIp { ports, .. } => ports.iter().filter(named).map(name).collect(),
        // Lists are interned: neighbours share theirs, and one look at each run is enough.
        Kind::Headless => {
            let lists = instances.chunk_by(|a, b| Arc::ptr_eq(&a.ports, &b.ports));
            lists.flat_map(|run| run[0].ports.iter().filter(named).map(name)).collect()
        }
        Kind::External { .. } => Vec::new(),
    };
    names.sort_unstable();
    names.dedup();
    let of = |(protocol, name): (Protocol, Arc<str>)| PortName {
        of: places_of(kind, instances, protocol, &name),
        protocol,
        name,
    };
    names.into_iter().map(of).collect()
}

/// Which endpoints have a port; `None` when all of them do, or when it is the service's own.
fn places_of(kind: &Kind, instances: &[Arc<Endpoint>], protocol: Protocol, name: &str) -> Option<Box<[u32]>> {
    match kind {
        Kind::Headless => {}
        Kind::ClusterIp { .. } | Kind::External { .. } => return None,
    }
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
