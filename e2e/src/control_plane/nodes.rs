//! The nodes that KWOK plays: one in each of two zones, both families of pod addresses.

use anyhow::Result;
use serde_json::{Value, json};

use crate::Kubectl;

/// A node of the test cluster.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Its name.
    pub name: &'static str,
    /// Its `topology.kubernetes.io/zone`.
    pub zone: &'static str,
    /// The last number of its address, and where its pods' addresses begin.
    last: u8,
    pods: (u8, char),
}

/// The region of all nodes.
pub const REGION: &str = "eu-1";

/// The nodes. Their pod ranges hold 4,094 pods each.
pub const NODES: [Node; 2] = [
    Node { name: "node-a", zone: "zone-a", last: 11, pods: (0, 'a') },
    Node { name: "node-b", zone: "zone-b", last: 12, pods: (16, 'b') },
];

/// Creates the nodes of the cluster of this number; no two have an address in common.
pub(super) fn create(kubectl: &Kubectl, number: u8) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": NODES.map(|node| object(&node, number))});
    kubectl.run_with_input(&["create", "-f", "-"], &list.to_string()).map(drop)
}

/// Whether all nodes are Ready and pods may be scheduled to them.
pub(super) fn are_ready(kubectl: &Kubectl) -> Result<bool> {
    let nodes = kubectl.list(&["nodes"])?;
    Ok(nodes.len() == NODES.len() && nodes.iter().all(is_ready))
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    ready && node["spec"]["taints"].is_null()
}

fn object(node: &Node, number: u8) -> Value {
    let (third, sixth) = node.pods;
    let second = 244 + u16::from(number);
    let pod_ranges = [format!("10.{second}.{third}.0/20"), format!("fd00:{second}:{sixth}::/112")];
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": {
                "kubernetes.io/hostname": node.name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/region": REGION,
                "topology.kubernetes.io/zone": node.zone,
            },
        },
        "spec": {"podCIDR": pod_ranges[0], "podCIDRs": pod_ranges},
        "status": {"addresses": [
            {"type": "InternalIP", "address": format!("172.30.{number}.{}", node.last)},
            {"type": "Hostname", "address": node.name},
        ]},
    })
}
