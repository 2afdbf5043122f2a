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
    address: &'static str,
    pod_ranges: [&'static str; 2],
}

/// The region of all nodes.
pub const REGION: &str = "eu-1";

/// The nodes. Their pod ranges hold 4,094 pods each.
pub const NODES: [Node; 2] = [
    Node { name: "node-a", zone: "zone-a", address: "172.30.0.11", pod_ranges: ["10.244.0.0/20", "fd00:244:a::/112"] },
    Node { name: "node-b", zone: "zone-b", address: "172.30.0.12", pod_ranges: ["10.244.16.0/20", "fd00:244:b::/112"] },
];

/// Creates the nodes.
pub(super) fn create(kubectl: &Kubectl) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": NODES.map(|node| object(&node))});
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

fn object(node: &Node) -> Value {
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
        "spec": {"podCIDR": node.pod_ranges[0], "podCIDRs": node.pod_ranges},
        "status": {"addresses": [
            {"type": "InternalIP", "address": node.address},
            {"type": "Hostname", "address": node.name},
        ]},
    })
}
