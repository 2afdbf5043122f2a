//! Names of services that are reached from outside the cluster, as CoreDNS's plugin `k8s_external` has them: `SERVICE.NAMESPACE`
//! and `_PORT._PROTOCOL.SERVICE.NAMESPACE` below a domain of their own, whose name server is `ns1.dns`. docs/cluster-dns.md says where
//! they differ, and why.
//!
//! By choice, services without a virtual address are there by the addresses of their endpoints.

use std::sync::Arc;

use hickory_proto::rr::Name;

use crate::zone::Zone;
use crate::zone::apex::prepend;
use crate::zone::label::{EMPTY_KEY, KeyBuffer, service_key};
use crate::zone::model::{Exposed, Kind, Protocol};
use crate::zone::node::Node;
use crate::zone::record::Record;

/// Of the zone's own names. A namespace that is called so has none here.
const SERVERS: &[u8] = b"dns";

/// Domains of services that are reached from outside the cluster.
#[derive(Clone, Debug, Default)]
pub struct Outward {
    /// Fully qualified, in lower case; each has the same names.
    pub domains: Vec<Name>,
    /// Services without a virtual address have names there, too.
    pub headless: bool,
    /// The service by which this server itself is reached from there, as `NAMESPACE/NAME`.
    pub service: Option<Arc<str>>,
}

/// `SERVICE.NAMESPACE.DOMAIN`; `None` when that is longer than a name may be.
pub(crate) fn service_name(domain: &Name, key: &str) -> Option<Name> {
    let (namespace, name) = key.split_once('/')?;
    prepend(&[name, namespace], domain)
}

// === impl Zone ===

impl Zone {
    /// `labels` are those below the domain, in lower case.
    pub(super) fn exposed_node(&self, labels: &[&[u8]]) -> Node {
        match labels {
            [] => Node::Apex,
            [b"ns1", servers] if *servers == SERVERS => Node::NameServer,
            [servers] if *servers == SERVERS => Node::Empty,
            [.., servers] if *servers == SERVERS => Node::Missing,
            [namespace] => self.namespace_node(namespace),
            [below @ .., service, namespace] => self.outward(namespace, service, below),
        }
    }

    fn outward(&self, namespace: &[u8], service: &[u8], below: &[&[u8]]) -> Node {
        let mut buffer: KeyBuffer = EMPTY_KEY;
        let found = service_key(&mut buffer, namespace, service).and_then(|key| self.services.get(key));
        let Some(record) = found else { return Node::Missing };
        if self.refuses(&record) {
            return Node::Stale;
        }
        match record.exposed() {
            Some(exposed) => match place(exposed, below) {
                Some(Place::Own) => Node::Exposed(record, None),
                Some(Place::Port(port)) => Node::Exposed(record, Some(port)),
                Some(Place::Protocol) => Node::Empty,
                None => Node::Missing,
            },
            None if self.settings.outward.headless && is_there(&record) => match below {
                [] => Node::Service(record),
                [label] => self.below_service(namespace, service, label),
                [port, protocol] => self.port_node(namespace, service, protocol, port),
                _ => Node::Missing,
            },
            None => Node::Missing,
        }
    }
}

/// Which of an exposed service's names.
enum Place {
    Own,
    Protocol,
    Port(usize),
}

fn place(exposed: &Exposed, below: &[&[u8]]) -> Option<Place> {
    match below {
        [] => Some(Place::Own),
        [protocol] => {
            let protocol = Protocol::from_label(protocol)?;
            let has = |port: &crate::zone::model::Port| port.protocol == protocol && !port.name.is_empty();
            exposed.ports.iter().any(has).then_some(Place::Protocol)
        }
        [port, protocol] => exposed.port(Protocol::from_label(protocol)?, port.strip_prefix(b"_")?).map(Place::Port),
        _ => None,
    }
}

fn is_there(record: &Record) -> bool {
    matches!(record.kind(), Kind::Headless) && record.exists()
}
