//! Two nodes, in a cluster of their own: what one alone cannot show.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use rollcall_e2e::http;
use rollcall_e2e::layout::Scratch;
use rollcall_e2e::node::{Config, NodeCluster};
use serde_json::{Value, json};

use crate::runner::{Run, Scenario};
use crate::workload::{Namespace, web};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "a_node_that_is_cut_off_loses_its_endpoints_until_it_is_back",
    run: Run::Own(a_node_that_is_cut_off_loses_its_endpoints_until_it_is_back),
}];

/// A node is noticed as lost soon, though not by one or two late heartbeats, of which there is one each 5 s.
const FLAGS: [&str; 2] = ["--node-monitor-grace-period=20s", "--node-monitor-period=1s"];

fn a_node_that_is_cut_off_loses_its_endpoints_until_it_is_back() -> Result<()> {
    let scratch = Scratch::new("two-nodes")?;
    let flags = FLAGS.map(String::from).to_vec();
    let config = Config { nodes: 2, controller_manager_flags: flags, ..Config::new(scratch.path()) };
    let cluster = NodeCluster::start(config)?;
    cut_off(&cluster)?;
    cluster.stop()?;
    scratch.remove()
}

fn cut_off(cluster: &NodeCluster) -> Result<()> {
    let namespace = Namespace::create(cluster.kubectl(), "two-nodes")?;
    let mut objects = web("web", 2);
    objects[0]["spec"]["template"]["spec"]["topologySpreadConstraints"] = json!([{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }]);
    namespace.apply(objects)?;
    let pods = namespace.ready("web", 2)?;
    ensure!(pods[0].starts_with("10.244.1.") && pods[1].starts_with("10.244.2."), "not one on each node: {pods:?}");
    for pod in &pods {
        let server = SocketAddr::new(pod.parse()?, 8080);
        ensure!(cluster.inside(|| http::get(server, "/"))?.status == 200);
    }
    // From the first node's pod to the second's.
    let said = namespace.run_once("caller", &["get", &format!("http://{}:8080/", pods[1])])?;
    ensure!(said.starts_with("200"), "{said}");
    cluster.cut(2)?;
    namespace.wait("the node to be lost", &["node", "node2"], |node| ready(node) == Some("Unknown"))?;
    ensure!(namespace.ready("web", 1)? == pods[..1], "the endpoint of the lost node is still called");
    cluster.mend(2)?;
    namespace.wait("the node to be back", &["node", "node2"], |node| ready(node) == Some("True"))?;
    ensure!(namespace.ready("web", 2)? == pods);
    Ok(())
}

fn ready(node: &Value) -> Option<&str> {
    let mut conditions = node["status"]["conditions"].as_array()?.iter();
    conditions.find(|condition| condition["type"] == "Ready")?["status"].as_str()
}
