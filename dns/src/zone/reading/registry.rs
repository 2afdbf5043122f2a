//! Names of a registry, as Consul has them: `[TAG.]SERVICE.service[.NAMESPACE.ns][.DC.dc]`, `_SERVICE._TAG.service…`
//! `_SERVICE._TAG`, `NODE.node` and `HEX.addr` below a domain of their own. docs/dns-registry.md says where they differ from Consul's, and why.
//!
//! A name without a namespace is of the namespace that the flags say. SRV leads to the cluster's names, which have weights,
//! addresses and reverse names already.

use std::net::IpAddr;

use rollcall_catalog::clusterset;

use crate::zone::Zone;
use crate::zone::choices::Choice;
use crate::zone::machines;
use crate::zone::model::Kind;
use crate::zone::node::Node;

/// The label before which a namespace stands.
const NAMESPACE: &[u8] = b"ns";
/// The same for a datacenter: a cluster or a zone.
const DATACENTER: &[u8] = b"dc";
/// What names may be of.
const KINDS: [&[u8]; 3] = [b"service", b"node", b"addr"];
/// Who asks by RFC 2782 without a tag.
const ANY_TAG: [&[u8]; 2] = [b"_tcp", b"_udp"];

/// A name's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts<'a, 'b> {
    /// Up to the kind, and that.
    names: &'a [&'b [u8]],
    namespace: Option<&'b [u8]>,
    datacenter: Option<&'b [u8]>,
}

/// Which endpoints are meant.
#[derive(Clone, Copy, Debug)]
struct Wanted<'a> {
    tag: Option<&'a [u8]>,
    area: Area<'a>,
}

/// Where they are.
#[derive(Clone, Copy, Debug)]
enum Area<'a> {
    Any,
    Zone(&'a [u8]),
    /// What that cluster exports; as an area, see [`Place::areas`](crate::zone::model::Place::areas).
    Cluster(&'a str),
}

// === impl Parts ===

impl<'a, 'b> Parts<'a, 'b> {
    /// `SERVICE.service[.NAMESPACE.ns][.DC.dc]`, or by the older form `SERVICE.service.DC`; by RFC 2782 without `service`, too.
    fn of(labels: &'a [&'b [u8]]) -> Self {
        let mut parts = Self { names: labels, namespace: None, datacenter: None };
        loop {
            match parts.names {
                [names @ .., namespace, ns] if *ns == NAMESPACE && parts.namespace.is_none() => {
                    parts = Self { names, namespace: Some(namespace), ..parts };
                }
                [names @ .., datacenter, dc] if *dc == DATACENTER && parts.datacenter.is_none() => {
                    parts = Self { names, datacenter: Some(datacenter), ..parts };
                }
                _ => break,
            }
        }
        match parts {
            Self { names: [.., kind, name], namespace: None, datacenter: None }
                if KINDS.contains(kind) && !KINDS.contains(name) =>
            {
                Self { names: &labels[..labels.len() - 1], namespace: None, datacenter: Some(name) }
            }
            Self { names: [own @ .., name], namespace: None, datacenter: None }
                if is_of_rfc_2782(own) && !KINDS.contains(name) && !name.starts_with(b"_") =>
            {
                Self { names: own, namespace: None, datacenter: Some(name) }
            }
            parts => parts,
        }
    }
}

// === impl Zone ===

impl Zone {
    /// `labels` are those below the registry's domain, in lower case.
    pub(super) fn registry_node(&self, labels: &[&[u8]]) -> Node {
        let parts = Parts::of(labels);
        let cluster = parts.datacenter.and_then(|name| self.area_of(name));
        let area = match (parts.datacenter, &cluster) {
            (Some(name), _) if name == self.settings.registry.datacenter.as_bytes() => Area::Any,
            (Some(name), _) if self.has_zone(name) => Area::Zone(name),
            (Some(_), Some(cluster)) => Area::Cluster(cluster),
            (Some(_), None) => return Node::Missing,
            (None, _) => Area::Any,
        };
        let namespace = match parts.namespace.map(|name| (name, self.namespace_node(name))) {
            Some((_, Node::Missing)) => return Node::Missing,
            Some((name, _)) => name,
            None => self.settings.registry.namespace.as_bytes(),
        };
        match parts.names {
            [] if labels.is_empty() => Node::Apex,
            // There are names below.
            [] | [b"ns" | b"dc"] => Node::Empty,
            [name] if labels.len() == 1 && self.is_datacenter(name) => Node::Empty,
            // There are names below the one.
            [_] if is_of_rfc_2782(parts.names) => Node::Empty,
            [_, _] if is_of_rfc_2782(parts.names) => self.registered(parts.names, b"service", namespace, area),
            [names @ .., b"node"] => self.machine(names, parts.namespace, area),
            [names @ .., kind] => self.registered(names, kind, namespace, area),
        }
    }

    fn registered(&self, names: &[&[u8]], kind: &[u8], namespace: &[u8], area: Area<'_>) -> Node {
        let of = |service: &[u8], tag| {
            let service = match area {
                Area::Any | Area::Zone(_) => self.service_node(namespace, service),
                Area::Cluster(_) => self.exported_node(namespace, service),
            };
            self.chosen(service, Wanted { tag, area })
        };
        match (kind, names) {
            (b"service" | b"addr", []) => Node::Empty,
            // Of a tag, or of any: there are names below.
            (b"service", [tag]) if tag.starts_with(b"_") => Node::Empty,
            (b"service", [service]) => of(service, None),
            (b"service", [service, tag]) if service.starts_with(b"_") && tag.starts_with(b"_") => {
                of(&service[1..], (!ANY_TAG.contains(tag)).then_some(&tag[1..]))
            }
            // A tag may have dots.
            (b"service", [tag @ .., service]) => of(service, Some(&tag.join(&b'.'))),
            (b"addr", [address]) => hexadecimal(address).map_or(Node::Missing, Node::Pod),
            _ => Node::Missing,
        }
    }

    /// A node of the cluster, or else a machine of registrations in the namespace of names that say none; of a namespace
    /// that is said only its machines. Names may have dots.
    fn machine(&self, name: &[&[u8]], namespace: Option<&[u8]>, area: Area<'_>) -> Node {
        if name.is_empty() {
            return Node::Empty;
        }
        let find = |namespace: Option<&[u8]>| {
            let mut room = [0; machines::KEY_BYTES_MAX];
            self.machines.get(machines::key(&mut room, namespace, name)?)
        };
        let found = match namespace {
            Some(namespace) => find(Some(namespace)),
            // A name below which there are others may be a machine's there.
            None => match (find(None), || find(Some(self.settings.registry.namespace.as_bytes()))) {
                (Some(Some(node)), _) => Some(Some(node)),
                (Some(None), registered) => Some(registered().flatten()),
                (None, registered) => registered(),
            },
        };
        match found {
            Some(Some(machine)) if area.has(&machine.zone) => Node::Machine(machine),
            Some(None) => Node::Empty,
            Some(Some(_)) | None => Node::Missing,
        }
    }

    /// The endpoints of a service that are meant; there is no such name when there are none.
    fn chosen(&self, service: Node, wanted: Wanted<'_>) -> Node {
        let record = match service {
            Node::Service(record) => record,
            other @ (Node::Stale | Node::Missing) => return other,
            other => return if wanted.is_all() { other } else { Node::Missing },
        };
        let only_passing = self.settings.registry.only_passing;
        match record.kind() {
            // Behind a virtual address nobody chooses.
            Kind::ClusterIp { .. } | Kind::External { .. } if wanted.is_all() => Node::Service(record),
            // One address stands for those of all clusters: of one of them they are told.
            Kind::ClusterIp { .. } | Kind::External { .. } if !matches!(wanted.area, Area::Cluster(_)) => Node::Missing,
            Kind::Headless if wanted.is_all() && !only_passing => Node::Service(record),
            Kind::Headless | Kind::ClusterIp { .. } | Kind::External { .. } => {
                let (tag, zone) = (wanted.tag, wanted.area.name());
                let places = record.chosen(Choice { tag, zone, only_passing });
                if places.is_empty() { Node::Missing } else { Node::Tagged(record, places) }
            }
        }
    }

    /// What several clusters export under one name.
    fn exported_node(&self, namespace: &[u8], service: &[u8]) -> Node {
        match (std::str::from_utf8(namespace), std::str::from_utf8(service)) {
            (Ok(space), Ok(name)) => self.service_node(namespace, clusterset::derived_name(space, name).as_bytes()),
            _ => Node::Missing,
        }
    }

    fn is_datacenter(&self, name: &[u8]) -> bool {
        name == self.settings.registry.datacenter.as_bytes() || self.has_zone(name) || self.area_of(name).is_some()
    }
}

// === impl Wanted ===

impl Wanted<'_> {
    fn is_all(self) -> bool {
        self.tag.is_none() && matches!(self.area, Area::Any)
    }
}

// === impl Area ===

impl<'a> Area<'a> {
    fn name(self) -> Option<&'a [u8]> {
        match self {
            Self::Any => None,
            Self::Zone(zone) => Some(zone),
            Self::Cluster(area) => Some(area.as_bytes()),
        }
    }

    /// Whether a machine in this zone is there: those of other clusters are not known.
    fn has(self, zone: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Zone(name) => zone.as_bytes() == name,
            Self::Cluster(_) => false,
        }
    }
}

/// `_SERVICE._TAG`, or `_TAG` above it.
fn is_of_rfc_2782(labels: &[&[u8]]) -> bool {
    matches!(labels, [_] | [_, _]) && labels.iter().all(|label| label.starts_with(b"_"))
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
