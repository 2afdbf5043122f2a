//! Nodes become [`NodeFacts`]: the zone of their pods and the addresses that belong to those.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use rollcall_catalog::Input;
use rollcall_catalog::input::NodeFacts;
use rollcall_catalog::model::Name;
use tracing::warn;

use crate::kubernetes::Names;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::informer::Handler;
use crate::writer::{Inbox, Message};

/// Hands Nodes to the catalog.
pub struct Nodes {
    inbox: Inbox,
    names: Names,
    /// Of the first list: how many there were, and how many with addresses for pods.
    listed: usize,
    with_addresses: usize,
}

const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Its value is the reason: registered endpoints whose `machine` is the node are taken out.
const MAINTENANCE_ANNOTATION: &str = "rollcall.dev/maintenance";
const REGION_LABEL: &str = "topology.kubernetes.io/region";
/// Types of addresses, of which the first that a node has is told under its name.
const INTERNAL: &str = "InternalIP";
const EXTERNAL: &str = "ExternalIP";

// === impl Nodes ===

impl Nodes {
    /// A handler that speaks to `inbox`.
    pub fn new(inbox: Inbox) -> Self {
        Self { inbox, names: Names::default(), listed: 0, with_addresses: 0 }
    }

    fn facts(&mut self, node: &Node) -> NodeFacts {
        let label =
            |label: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(label)).map(String::as_str);
        let (zone, region) = (label(ZONE_LABEL), label(REGION_LABEL));
        let annotations = node.metadata.annotations.as_ref();
        let maintenance = annotations.and_then(|all| all.get(MAINTENANCE_ANNOTATION)).map(String::as_str);
        let spec = node.spec.iter();
        let blocks = spec.flat_map(|spec| spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr));
        let mut pod_cidrs: Vec<_> = blocks.filter_map(|block| block.parse().ok()).collect();
        pod_cidrs.sort_unstable();
        pod_cidrs.dedup();
        let of = |kind: &str| addresses(node, |said| said == kind);
        let reached_at = [INTERNAL, EXTERNAL].map(of).into_iter().find(|some| !some.is_empty());
        NodeFacts {
            zone: self.names.maybe(zone),
            region: self.names.maybe(region),
            addresses: addresses(node, |_| true),
            reached_at: reached_at.unwrap_or_default(),
            pod_cidrs,
            maintenance: self.names.maybe(maintenance),
        }
    }
}

/// The addresses of some types, sorted, each once. What is no address has none.
fn addresses(node: &Node, is_wanted: impl Fn(&str) -> bool) -> Box<[IpAddr]> {
    let said = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let of = said.filter(|said| is_wanted(&said.type_)).filter_map(|said| said.address.parse().ok());
    of.collect::<BTreeSet<_>>().into_iter().collect()
}

impl Handler<Node> for Nodes {
    async fn apply(&mut self, node: Node) {
        let facts = self.facts(&node);
        self.listed += 1;
        self.with_addresses += usize::from(!facts.pod_cidrs.is_empty());
        let name = ObjectKey::of(&node.metadata).name;
        self.inbox.send(Message::Say(Input::Node(name, Some(Arc::new(facts))))).await;
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.inbox.send(Message::Say(Input::Node(Name::clone(&gone.name), None))).await;
    }

    async fn synced(&mut self) {
        if self.listed > 0 && self.with_addresses == 0 {
            warn!(
                nodes = self.listed,
                "no node names the addresses of its pods (spec.podCIDRs), as with some network plug-ins: a registration \
                 may claim them; give their range by --reserved-cidr (controller.reservedCIDRs)"
            );
        }
        self.inbox.send(Message::Synced(Source::Nodes)).await;
    }
}
