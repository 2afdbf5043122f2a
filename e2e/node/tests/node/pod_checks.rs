//! Pods that a policy has the controllers check: real ones, which Kubernetes goes on to find ready.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use rollcall_e2e::node::NodeCluster;
use rollcall_e2e::{clock, http};
use serde_json::{Value, json};

use crate::release::Release;
use crate::runner::{Scenario, scenarios};
use crate::workload::{BOUND, Namespace, pod};

pub(crate) const SCENARIOS: &[Scenario] =
    scenarios![a_ready_pod_that_fails_the_check_of_a_policy_is_out_of_the_answers_until_it_passes];

const SERVICE: &str = "till";

fn a_ready_pod_that_fails_the_check_of_a_policy_is_out_of_the_answers_until_it_passes(
    cluster: &mut NodeCluster,
) -> Result<()> {
    let release = Release::share(cluster, &[])?;
    let shop = Namespace::create(cluster.kubectl(), "pod-checks")?;
    shop.apply(["till-1", "till-2"].map(server).into_iter().chain([service(), policy()]))?;
    let addresses = shop.ready(SERVICE, 2)?;
    let settled = || -> Result<()> {
        in_entry(&shop, &["Passing", "Passing"])?;
        shop.wait("the policy to count no pod", &["discoverypolicy", SERVICE], |policy| failing(policy) == 0)?;
        Ok(())
    };
    settled().map_err(|error| release.explain(error))?;
    let server = SocketAddr::new(addresses[0].parse()?, 8080);
    cluster.inside(|| http::get(server, "/break"))?;
    in_entry(&shop, &["Critical", "Passing"]).map_err(|error| release.explain(error))?;
    let policy =
        shop.wait("the policy to name the pod", &["discoverypolicy", SERVICE], |policy| failing(policy) == 1)?;
    ensure!(policy["status"]["failingPods"][0]["addresses"][0] == addresses[0].as_str(), "{}", policy["status"]);
    // It has no readiness probe: to Kubernetes all is well, and nothing of Kubernetes's was touched.
    ensure!(shop.ready(SERVICE, 2)? == addresses, "the EndpointSlice has changed");
    cluster.inside(|| http::get(server, "/mend"))?;
    settled().map_err(|error| release.explain(error))?;
    release.keep(&[]);
    Ok(())
}

/// A pod that is ready as long as it runs.
fn server(name: &str) -> Value {
    let mut server = pod(name, &["serve"]);
    server["metadata"]["labels"] = json!({"app": SERVICE});
    server["spec"]["containers"][0]["ports"] = json!([{"name": "http", "containerPort": 8080}]);
    server
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE},
        "spec": {"clusterIP": "None", "selector": {"app": SERVICE}, "ports": [{"name": "http", "port": 8080}]},
    })
}

fn policy() -> Value {
    let check = json!({"name": "healthz", "http": {"path": "/healthz"}, "interval": "1s", "failureThreshold": 2});
    json!({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "DiscoveryPolicy", "metadata": {"name": SERVICE},
        "spec": {"target": {"service": SERVICE}, "podChecks": {"checks": [check]}},
    })
}

fn failing(policy: &Value) -> u64 {
    policy["status"]["failingPodsTotal"].as_u64().unwrap_or_default()
}

/// Waits until the catalog has pods of these healths, in any order.
fn in_entry(shop: &Namespace<'_>, healths: &[&str]) -> Result<()> {
    let entry = ["get", "catalogentry", SERVICE, "--output", "json", "--ignore-not-found"];
    clock::wait_until(&format!("pods that are {healths:?}"), BOUND, || {
        let entry: Value = serde_json::from_str(&shop.kubectl(&entry)?).unwrap_or_default();
        let endpoints = entry["endpoints"].as_array().into_iter().flatten();
        let mut found: Vec<_> = endpoints.map(|endpoint| endpoint["health"].as_str().unwrap_or_default()).collect();
        found.sort_unstable();
        ensure!(found == healths, "{entry}");
        Ok(Some(()))
    })
}
