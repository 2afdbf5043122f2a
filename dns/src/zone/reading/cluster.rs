//! A cluster's own names (Kubernetes DNS specification 1.1.0).

use std::sync::Arc;

use hickory_proto::rr::Name;
use rollcall_catalog::clusterset;

use super::pods::{self, PodNames};
use crate::zone::Zone;
use crate::zone::apex::{Apex, prepend};
use crate::zone::choices::Choice;
use crate::zone::label::{EMPTY_KEY, KeyBuffer, service_key};
use crate::zone::model::{Kind, Protocol, WhenStale};
use crate::zone::node::Node;
use crate::zone::record::Record;

/// The label between a cluster's domain and its namespaces.
pub const SERVICES: &[u8] = b"svc";
/// The label between a service and the names of its endpoints by zone.
pub(super) const ZONES: &[u8] = b"_zone";
/// The same for pods.
const PODS: &[u8] = b"pod";

/// `SERVICE.NAMESPACE.svc.DOMAIN`; `None` when that is longer than a name may be.
pub(super) fn service_name(apex: &Apex, service: &Record) -> Option<Name> {
    let (namespace, name) = service.key().split_once('/')?;
    prepend(&[name, namespace, "svc"], apex.origin())
}

// === impl Zone ===

impl Zone {
    /// `labels` are those below the cluster's domain, in lower case.
    pub(super) fn cluster_node(&self, labels: &[&[u8]]) -> Node {
        match labels {
            [] => Node::Apex,
            [b"dns-version"] => Node::Version,
            [b"ns", b"dns"] => Node::NameServer,
            [b"dns"] => Node::Empty,
            [names @ .., tree] if *tree == SERVICES => self.services_node(names),
            [names @ .., tree] if *tree == PODS => self.pods_node(names),
            _ => Node::Missing,
        }
    }

    fn services_node(&self, labels: &[&[u8]]) -> Node {
        match labels {
            [] => Node::Empty,
            [namespace] => self.namespace_node(namespace),
            [service, namespace] => self.service_node(namespace, service),
            [below @ .., zones, service, namespace] if *zones == ZONES => {
                self.zonal_node(self.service_node(namespace, service), below)
            }
            [below, service, namespace] => self.below_service(namespace, service, below),
            [port, protocol, service, namespace] if protocol.starts_with(b"_") => {
                self.port_node(namespace, service, protocol, port)
            }
            // Of what stands for the exports of several clusters: SRV records of registries lead there.
            [host, cluster, service, namespace] => {
                self.below_service(namespace, service, &[*host, *cluster].join(&b'.'))
            }
            _ => Node::Missing,
        }
    }

    /// As CoreDNS: unless it is verified, every namespace has every pod.
    fn pods_node(&self, labels: &[&[u8]]) -> Node {
        let named = |namespace: &[u8], label: &[u8]| {
            let address = pods::address(label)?;
            let known = || std::str::from_utf8(namespace).is_ok_and(|namespace| self.has_pod(namespace, address));
            (self.settings.pod_names == PodNames::Insecure || known()).then_some(Node::Pod(address))
        };
        match (self.settings.pod_names, labels) {
            (PodNames::Off, _) => Node::Missing,
            (PodNames::Insecure | PodNames::Verified, []) | (PodNames::Insecure, [_]) => Node::Empty,
            (PodNames::Verified, [namespace]) => self.namespace_node(namespace),
            (PodNames::Insecure | PodNames::Verified, [label, namespace]) => {
                named(namespace, label).unwrap_or(Node::Missing)
            }
            (PodNames::Insecure | PodNames::Verified, _) => Node::Missing,
        }
    }

    pub(super) fn namespace_node(&self, namespace: &[u8]) -> Node {
        let known = std::str::from_utf8(namespace).is_ok_and(|name| self.namespaces.get(name).is_some());
        if known { Node::Empty } else { Node::Missing }
    }

    pub(super) fn service_node(&self, namespace: &[u8], service: &[u8]) -> Node {
        match self.record(namespace, service) {
            Some(record) if self.refuses(&record) => Node::Stale,
            Some(record) => match record.kind() {
                Kind::External { .. } => Node::External(record),
                Kind::ClusterIp { .. } | Kind::Headless => Node::Service(record),
            },
            None => Node::Missing,
        }
    }

    /// `ZONE.pin` and `ZONE.prefer` below `_zone.SERVICE`, as CoreDNS has them for services without a virtual address: the endpoints
    /// of the zone, and with `prefer` all if it has none. A zone may have dots.
    pub(super) fn zonal_node(&self, service: Node, below: &[&[u8]]) -> Node {
        let record = match service {
            Node::Service(record) if matches!(record.kind(), Kind::Headless) => record,
            other @ Node::Stale => return other,
            _ => return Node::Missing,
        };
        match below {
            [] | [b"pin" | b"prefer"] => Node::Empty,
            [zone @ .., how @ (b"pin" | b"prefer")] => {
                let zone = zone.join(&b'.');
                match record.chosen(Choice { tag: None, zone: Some(&zone), only_passing: false }) {
                    places if !places.is_empty() => Node::Tagged(record, places),
                    _ if *how == b"prefer" => Node::Service(record),
                    _ => Node::Empty,
                }
            }
            _ => Node::Missing,
        }
    }

    pub(super) fn below_service(&self, namespace: &[u8], service: &[u8], label: &[u8]) -> Node {
        let Some(record) = self.record(namespace, service) else { return Node::Missing };
        if self.refuses(&record) {
            return Node::Stale;
        }
        if let Some(protocol) = Protocol::from_label(label) {
            return if record.has_protocol(protocol) { Node::Empty } else { Node::Missing };
        }
        let places = record.places_labelled(label);
        match places.is_empty() {
            false => Node::Instances(record, places),
            true if std::str::from_utf8(service).is_ok_and(clusterset::may_be_derived) && record.has_below(label) => {
                Node::Empty
            }
            true => Node::Missing,
        }
    }

    pub(super) fn port_node(&self, namespace: &[u8], service: &[u8], protocol: &[u8], port: &[u8]) -> Node {
        let found = || {
            let (record, protocol) = (self.record(namespace, service)?, Protocol::from_label(protocol)?);
            if self.refuses(&record) {
                return Some(Node::Stale);
            }
            let name = std::str::from_utf8(port.strip_prefix(b"_")?).ok()?;
            record.port(protocol, name).map(|port| Node::Port(record, port))
        };
        found().unwrap_or(Node::Missing)
    }

    /// Whether nothing may be told of a service, as it is too old: not even that it has no such name.
    pub(super) fn refuses(&self, record: &Record) -> bool {
        self.stale(record) == Some(WhenStale::Refuse)
    }

    /// A service whose name exists, or may: of what is too old that is not known.
    fn record(&self, namespace: &[u8], service: &[u8]) -> Option<Arc<Record>> {
        let mut buffer: KeyBuffer = EMPTY_KEY;
        self.services
            .get(service_key(&mut buffer, namespace, service)?)
            .filter(|record| record.exists() || self.refuses(record))
    }
}
