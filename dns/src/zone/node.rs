//! Which name of the zone a query means.

use std::borrow::Cow;
use std::sync::Arc;

use hickory_proto::rr::Name;

use super::Zone;
use super::apex::Apex;
use super::label::{EMPTY_KEY, KeyBuffer, service_key};
use super::model::{Kind, Protocol};
use super::record::Record;

/// A name, as far as the zone knows it.
#[derive(Debug)]
pub(super) enum Node {
    /// It does not exist, nor does anything below it (RFC 8020).
    Missing,
    /// It exists without data of its own, because of the names below it (RFC 4592 §2.2.2).
    Empty,
    /// The zone's own name.
    Apex,
    /// This server's name.
    NameServer,
    /// `dns-version`
    Version,
    /// `SERVICE.NAMESPACE.svc`
    Service(Arc<Record>),
    /// `SERVICE.NAMESPACE.svc` of a service that is a name elsewhere.
    External(Arc<Record>),
    /// `LABEL.SERVICE.NAMESPACE.svc`: at least one endpoint.
    Instances(Arc<Record>, Box<str>),
    /// `_PORT._PROTOCOL.SERVICE.NAMESPACE.svc`
    Port(Arc<Record>, Protocol, Box<str>),
    /// An address, and the names it leads back to: at least one.
    Address(Vec<Name>),
}

// === impl Zone ===

impl Zone {
    /// The zone of a name and what the name is there; `None` when no zone of this server has it.
    pub(super) fn node<'a>(&self, apex: &'a Apex, name: &Name) -> Option<(Cow<'a, Apex>, Node)> {
        // Names compare without regard to case (RFC 4343); the index is in lower case.
        let name = name.to_lowercase();
        if !apex.origin().zone_of(&name) {
            return self.reverse_node(apex, &name).map(|(zone, node)| (Cow::Owned(zone), node));
        }
        let below = usize::from(name.num_labels() - apex.origin().num_labels());
        let labels: Vec<&[u8]> = name.iter().take(below).collect();
        Some((Cow::Borrowed(apex), self.forward_node(&labels)))
    }

    /// `labels` are those below the cluster's domain, in lower case.
    fn forward_node(&self, labels: &[&[u8]]) -> Node {
        match labels {
            [] => Node::Apex,
            [b"dns-version"] => Node::Version,
            [b"ns", b"dns"] => Node::NameServer,
            [b"svc"] | [b"dns"] => Node::Empty,
            [namespace, b"svc"] => self.namespace_node(namespace),
            [service, namespace, b"svc"] => self.service_node(namespace, service),
            [below, service, namespace, b"svc"] => self.below_service(namespace, service, below),
            [port, protocol, service, namespace, b"svc"] => self.port_node(namespace, service, protocol, port),
            _ => Node::Missing,
        }
    }

    fn namespace_node(&self, namespace: &[u8]) -> Node {
        let known = std::str::from_utf8(namespace).is_ok_and(|name| self.namespaces.get(name).is_some());
        if known { Node::Empty } else { Node::Missing }
    }

    fn service_node(&self, namespace: &[u8], service: &[u8]) -> Node {
        match self.record(namespace, service) {
            Some(record) => match record.kind() {
                Kind::External { .. } => Node::External(record),
                Kind::ClusterIp { .. } | Kind::Headless => Node::Service(record),
            },
            None => Node::Missing,
        }
    }

    fn below_service(&self, namespace: &[u8], service: &[u8], label: &[u8]) -> Node {
        let Some(record) = self.record(namespace, service) else { return Node::Missing };
        if let Some(protocol) = Protocol::from_label(label) {
            return if record.has_protocol(protocol) { Node::Empty } else { Node::Missing };
        }
        match record.labelled(label).first() {
            Some(endpoint) => Node::Instances(Arc::clone(&record), endpoint.label.clone()),
            None => Node::Missing,
        }
    }

    fn port_node(&self, namespace: &[u8], service: &[u8], protocol: &[u8], port: &[u8]) -> Node {
        let found = || {
            let (record, protocol) = (self.record(namespace, service)?, Protocol::from_label(protocol)?);
            let name = std::str::from_utf8(port.strip_prefix(b"_")?).ok()?;
            record.has_port(protocol, name.as_bytes()).then(|| Node::Port(record, protocol, name.into()))
        };
        found().unwrap_or(Node::Missing)
    }

    /// A service whose name exists.
    fn record(&self, namespace: &[u8], service: &[u8]) -> Option<Arc<Record>> {
        let mut buffer: KeyBuffer = EMPTY_KEY;
        self.services.get(service_key(&mut buffer, namespace, service)?).filter(|record| record.exists())
    }
}
