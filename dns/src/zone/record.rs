//! One service as queries see it: computed when it changes, so that an answer is a copy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::model::{Endpoint, Kind, Port, Protocol, Service};

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
    /// The distinct port names below the service; numbers of an endpoint's own ports may differ.
    ports: Box<[(Protocol, Arc<str>)]>,
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
        Self { key, service, v4, v6, instances: instances.into(), ports }
    }

    /// `NAMESPACE/NAME`.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// What its name stands for.
    pub fn kind(&self) -> &Kind {
        &self.service.kind
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
        let start = self.instances.partition_point(|endpoint| endpoint.label.as_bytes() < label);
        let len = self.instances[start..].partition_point(|endpoint| endpoint.label.as_bytes() == label);
        &self.instances[start..start + len]
    }

    /// Whether there is a named port of this protocol.
    pub fn has_protocol(&self, protocol: Protocol) -> bool {
        self.ports.iter().any(|(own, _)| *own == protocol)
    }

    /// Whether there is a port of this protocol and name.
    pub fn has_port(&self, protocol: Protocol, name: &[u8]) -> bool {
        self.ports.iter().any(|(own, own_name)| *own == protocol && own_name.as_bytes() == name)
    }

    /// How many owner names it stands for.
    pub fn names(&self) -> usize {
        let labels = self.instances.chunk_by(|a, b| a.label == b.label).count();
        if self.exists() { 1 + labels + self.ports.len() } else { 0 }
    }

    /// The addresses that lead back here, sorted, each once.
    pub fn reverse_addresses(&self) -> Vec<IpAddr> {
        let own = self.v4.iter().copied().map(IpAddr::V4).chain(self.v6.iter().copied().map(IpAddr::V6));
        let mut addresses: Vec<_> = own.collect();
        match self.service.kind {
            Kind::ClusterIp { .. } => {
                addresses.extend(self.instances.iter().flat_map(|endpoint| endpoint.addresses.iter()));
                addresses.sort_unstable();
                addresses.dedup();
            }
            // The addresses are those of the endpoints.
            Kind::Headless | Kind::External { .. } => {}
        }
        addresses
    }
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

fn port_names(kind: &Kind, instances: &[Arc<Endpoint>]) -> Box<[(Protocol, Arc<str>)]> {
    let name = |port: &Port| (port.protocol, Arc::clone(&port.name));
    let mut names: Vec<_> = match kind {
        Kind::ClusterIp { ports, .. } => ports.iter().map(name).collect(),
        // Lists are interned: neighbours share theirs, and one look at each run is enough.
        Kind::Headless => {
            let lists = instances.chunk_by(|a, b| Arc::ptr_eq(&a.ports, &b.ports));
            lists.flat_map(|run| run[0].ports.iter().map(name)).collect()
        }
        Kind::External { .. } => Vec::new(),
    };
    names.sort_unstable();
    names.dedup();
    names.into()
}
