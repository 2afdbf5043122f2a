//! From `helm install` to a pod that resolves what was registered, and back to nothing.

use anyhow::{Context, Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::node::{MACHINE_PORT, NodeCluster};
use serde_json::{Value, json};

use crate::release::{Part, Release, SYSTEM};
use crate::runner::{Scenario, scenarios};
use crate::traffic::{as_cluster_dns, keep_as_cluster_dns};
use crate::workload::{BOUND, Namespace};

pub(crate) const SCENARIOS: &[Scenario] = scenarios![a_pod_finds_what_was_registered_right_after_an_install];

/// What users are promised, on a machine that does nothing else: told when it is passed, not asserted.
const FIRST_ANSWER_SECONDS: u64 = 120;

/// A registration of machines outside of the cluster, checked each second; a machine that is slow for some seconds stays.
pub(crate) fn registration(service: &str, machines: &[(&str, std::net::IpAddr)]) -> Value {
    let endpoints: Vec<Value> =
        machines.iter().map(|(name, address)| json!({"name": name, "addresses": [address]})).collect();
    json!({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
        "metadata": {"name": format!("{service}-vm")},
        "spec": {
            "service": service,
            "ports": [{"name": "http", "port": MACHINE_PORT}],
            "endpoints": endpoints,
            "checks": [{"name": "healthz", "http": {"path": "/healthz"}, "interval": "1s", "failureThreshold": 10}],
        },
    })
}

fn a_pod_finds_what_was_registered_right_after_an_install(cluster: &mut NodeCluster) -> Result<()> {
    let machine = cluster.machine("vm-1", 0)?;
    let shop = Namespace::create(cluster.kubectl(), "first-answer")?;
    let start = clock::now();
    let flags = as_cluster_dns(cluster, "clusterDNS");
    let release = Release::install(cluster, &flags.iter().map(String::as_str).collect::<Vec<_>>())?;
    eprintln!("  all pods of the chart ready after {:.1} s", start.elapsed().as_secs_f32());
    shop.apply([registration("payments", &[("vm-1", cluster.outside_address(0))])])?;
    clock::wait_until("a pod that resolves the registered service and calls it", BOUND, || {
        let url = format!("http://payments:{MACHINE_PORT}/");
        Ok(shop.run_once("first", &["get", &url])?.contains("vm-1").then_some(()))
    })?;
    let took = start.elapsed();
    eprintln!("  helm install to the first answer in a pod: {:.1} s", took.as_secs_f32());
    if took.as_secs() >= FIRST_ANSWER_SECONDS {
        eprintln!("  WARNING: slower than the {FIRST_ANSWER_SECONDS} s that are promised; was the machine busy?");
    }
    let told = release.helm(&["test", "rollcall"]).map_err(|error| release.explain(error))?;
    ensure!(told.contains("Succeeded"), "{told}");
    for part in [Part::Controller, Part::Dns] {
        for (pod, page) in release.pages(part, "/readyz")? {
            ensure!(page.status == 200, "{pod}: {}", page.body);
        }
    }
    let table = cluster.kubectl().run(&["get", "serviceregistrations,catalogentries", "--namespace", shop.name])?;
    eprintln!("{table}");
    ensure!(table.contains("payments-vm") && table.contains("1/1"), "{table}");
    drop(machine);
    let said = cluster.kubectl().run(&["get", "namespace", SYSTEM, "--output", "yaml"])?;
    said.contains("enforce: restricted").then_some(()).context("the namespace is not restricted")?;
    keep_as_cluster_dns(release);
    Ok(())
}
