//! Names across clusters (multicluster DNS specification 1.0.0, KEP-1645): `SERVICE.NAMESPACE.svc` below clusterset.local, and of
//! headless ones `HOSTNAME.CLUSTER.SERVICE.NAMESPACE.svc`.
//!
//! What clusters export under one name is served as the derived Service of it, whose name follows from that one. The name of a
//! cluster between two others is empty and not missing: below what is missing nothing exists (RFC 8020).

use hickory_proto::rr::Name;
use rollcall_catalog::clusterset;

use super::cluster::{SERVICES, ZONES};
use crate::zone::Zone;
use crate::zone::apex::Apex;
use crate::zone::model::{Kind, Protocol};
use crate::zone::node::Node;

/// What the specification says of its own version, and how long that may be kept.
pub const VERSION: (&str, u32) = ("1.0.0", 28_800);

/// The name of the service that a name below `apex` is of: its last three labels there.
pub fn service_name(apex: &Apex, owner: &Name) -> Name {
    owner.trim_to(apex.origin().iter().len() + 3).to_lowercase()
}

// === impl Zone ===

impl Zone {
    /// `labels` are those below the domain, in lower case.
    pub(super) fn clusterset_node(&self, labels: &[&[u8]]) -> Node {
        match labels {
            [] => Node::Apex,
            [b"dns-version"] => Node::Version,
            [names @ .., tree] if *tree == SERVICES => match names {
                [] => Node::Empty,
                [namespace] => self.namespace_node(namespace),
                [below @ .., service, namespace] => self.across(namespace, service, below),
            },
            _ => Node::Missing,
        }
    }

    fn across(&self, namespace: &[u8], service: &[u8], below: &[&[u8]]) -> Node {
        let texts = (std::str::from_utf8(namespace), std::str::from_utf8(service));
        let (Ok(space), Ok(name)) = texts else { return Node::Missing };
        let derived = clusterset::derived_name(space, name);
        let derived = derived.as_bytes();
        match below {
            [] => self.service_node(namespace, derived),
            [port, protocol] if Protocol::from_label(protocol).is_some() => {
                self.port_node(namespace, derived, protocol, port)
            }
            [protocol] if Protocol::from_label(protocol).is_some() => self.below_service(namespace, derived, protocol),
            [below @ .., zones] if *zones == ZONES => self.zonal_node(self.service_node(namespace, derived), below),
            labels => self.endpoint_across(namespace, derived, &labels.join(&b'.')),
        }
    }

    /// `HOSTNAME.CLUSTER`, where a cluster's id may have a dot; or the cluster alone, which has no data.
    fn endpoint_across(&self, namespace: &[u8], derived: &[u8], label: &[u8]) -> Node {
        let record = match self.service_node(namespace, derived) {
            Node::Service(record) if matches!(record.kind(), Kind::Headless) => record,
            other @ Node::Stale => return other,
            _ => return Node::Missing,
        };
        let places = record.places_labelled(label);
        if !places.is_empty() {
            return Node::Instances(record, places);
        }
        if record.has_below(label) { Node::Empty } else { Node::Missing }
    }
}
