//! Names of a registry, as Consul has them: `[TAG.]SERVICE.service[.NAMESPACE.ns]`, `_SERVICE._TAG.service[.NAMESPACE.ns]`
//! and `HEX.addr` below a domain of their own. docs/dns-registry.md says where they differ from Consul's, and why.
//!
//! A name without a namespace is of the namespace that the flags say. SRV leads to the cluster's names, which have weights,
//! addresses and reverse names already.

use std::net::IpAddr;
use std::sync::Arc;

use crate::zone::Zone;
use crate::zone::model::Kind;
use crate::zone::node::Node;
use crate::zone::record::Record;

/// The label before which a namespace stands.
const NAMESPACE: &[u8] = b"ns";
/// Who asks by RFC 2782 without a tag.
const ANY_TAG: [&[u8]; 2] = [b"_tcp", b"_udp"];

// === impl Zone ===

impl Zone {
    /// `labels` are those below the registry's domain, in lower case.
    pub(super) fn registry_node(&self, labels: &[&[u8]]) -> Node {
        match labels {
            [] => Node::Apex,
            // There are names below, whatever the namespace.
            [b"ns"] => Node::Empty,
            [namespace, ns] if *ns == NAMESPACE => self.namespace_node(namespace),
            [names @ .., kind, namespace, ns] if *ns == NAMESPACE => match self.namespace_node(namespace) {
                Node::Missing => Node::Missing,
                _ => self.registered(names, kind, namespace),
            },
            [names @ .., kind] => self.registered(names, kind, self.settings.registry.namespace.as_bytes()),
        }
    }

    fn registered(&self, names: &[&[u8]], kind: &[u8], namespace: &[u8]) -> Node {
        match (kind, names) {
            (b"service" | b"addr", []) => Node::Empty,
            (b"service", [service]) => self.service_node(namespace, service),
            (b"service", [service, tag]) if service.starts_with(b"_") && tag.starts_with(b"_") => {
                if ANY_TAG.contains(tag) {
                    self.service_node(namespace, &service[1..])
                } else {
                    self.tagged_node(namespace, &service[1..], &tag[1..])
                }
            }
            // A tag may have dots.
            (b"service", [tag @ .., service]) => self.tagged_node(namespace, service, &tag.join(&b'.')),
            (b"addr", [address]) => hexadecimal(address).map_or(Node::Missing, Node::Pod),
            _ => Node::Missing,
        }
    }

    /// The endpoints of a service that have a tag; there is no such name when none has.
    fn tagged_node(&self, namespace: &[u8], service: &[u8], tag: &[u8]) -> Node {
        let record = match self.service_node(namespace, service) {
            Node::Service(record) => record,
            other @ Node::Stale => return other,
            _ => return Node::Missing,
        };
        let places = places_with(&record, tag);
        if places.is_empty() { Node::Missing } else { Node::Tagged(record, places) }
    }
}

/// The places of the instances that have a tag, without regard to case, as names are.
fn places_with(record: &Arc<Record>, tag: &[u8]) -> Box<[u32]> {
    // Behind a virtual address only hostnames are instances, and a tag would choose among them alone.
    if !matches!(record.kind(), Kind::Headless) {
        return Box::default();
    }
    let is_tag = |text: &str| text.strip_prefix("tag=").is_some_and(|own| own.as_bytes().eq_ignore_ascii_case(tag));
    let all = (0_u32..).zip(record.instances());
    all.filter(|(_, endpoint)| endpoint.texts.iter().any(|text| is_tag(text))).map(|(place, _)| place).collect()
}

/// An address of 8 or 32 hexadecimal digits, as Consul writes it.
fn hexadecimal(label: &[u8]) -> Option<IpAddr> {
    let digits = std::str::from_utf8(label).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    match digits.len() {
        8 => u32::from_str_radix(digits, 16).ok().map(|bits| IpAddr::from(bits.to_be_bytes())),
        32 => u128::from_str_radix(digits, 16).ok().map(|bits| IpAddr::from(bits.to_be_bytes())),
        _ => None,
    }
}
