//! Rollcall as its chart installs it on clusters with real nodes, each of them a node away: links go to the NodePort of the
//! other cluster's stream.

use anyhow::{Context, Result};

use super::{CLUSTERSET, Peer, secret_name};
use crate::install::NAMESPACE;
use crate::node::NodeCluster;

/// The Service of the stream, in a release of the name `rollcall`.
const SERVICE: &str = "rollcall-controller";
/// A name that the stream's certificate is for.
const SERVER_NAME: &str = "rollcall-controller.rollcall-system.svc";

/// What Helm is told to install it in the cluster of this id, with links to those of the ids `peers`.
pub fn settings(id: &str, peers: &[&str]) -> Vec<String> {
    let secrets: Vec<String> = peers.iter().map(|peer| secret_name(peer)).collect();
    let settings = [
        "federation.enabled=true".to_owned(),
        format!("federation.clusterId={id}"),
        "federation.clusterProperty=write".to_owned(),
        format!("federation.clusterset={CLUSTERSET}"),
        format!("federation.secrets={{{}}}", secrets.join(",")),
        "controller.service.type=NodePort".to_owned(),
    ];
    settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect()
}

/// The cluster of this id as others link to it.
pub fn peer<'a>(id: &'a str, cluster: &'a NodeCluster) -> Result<Peer<'a>> {
    let kubectl = cluster.kubectl();
    let service = kubectl.get(&["service", SERVICE, "--namespace", NAMESPACE])?;
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let port = ports.find(|port| port["name"] == "grpc").and_then(|port| port["nodePort"].as_u64());
    let port = port.with_context(|| format!("{SERVICE} has no port of nodes: {service}"))?;
    let nodes = (1..=cluster.config().nodes).map(|index| cluster.addresses().node(index));
    let addresses = nodes.map(|node| format!("{node}:{port}")).collect();
    Ok(Peer { id, kubectl, addresses, server_name: SERVER_NAME })
}
