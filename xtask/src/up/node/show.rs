//! What callers in pods are told, and what to try next.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use hickory_proto::rr::RecordType;
use rollcall_e2e::node::NodeCluster;
use rollcall_e2e::{clock, install};
use serde_json::Value;

use crate::terminal::{self, Paint, paint};
use crate::up::example::{MACHINES, NAMESPACE, SERVICE};
use crate::up::{resolve, state};

/// The Deployment that calls the service.
pub(super) const CALLER: &str = "caller";

const BOUND: Duration = Duration::from_secs(120);
const COMPLETE_BOUND: Duration = Duration::from_secs(30);

/// Waits until a pod has called the service by its name and got answers.
pub(super) fn wait_for_calls(cluster: &NodeCluster) -> Result<()> {
    clock::wait_until("a pod that finds and calls the service", BOUND, || {
        Ok((calls(cluster)?["ok"].as_u64() > Some(0)).then_some(()))
    })
}

/// Prints the endpoints, what DNS answers, and what the caller got.
pub(super) fn example(cluster: &NodeCluster) -> Result<()> {
    let mut rows = Vec::new();
    let complete = clock::wait_until("all endpoints", COMPLETE_BOUND, || {
        rows = endpoints(cluster)?;
        let ready = rows.iter().filter(|row| row.iter().any(|cell| cell == "ready")).count();
        Ok((ready >= 2 + MACHINES.len()).then_some(()))
    });
    clock::check_interrupt()?;
    println!("\n{}", paint(&format!("Service {NAMESPACE}/{SERVICE}, as its callers find it:"), Paint::Bold));
    print!("{}", terminal::table(&["ADDRESS", "NAME", "FROM", "ENDPOINTSLICES", "CATALOG"], &rows));
    if complete.is_err() {
        terminal::note("  Not every endpoint is ready yet; see kubectl describe and the logs in target/up.");
    }
    println!();
    print!("{}", terminal::table(&["DNS QUESTION", "ANSWER"], &dns(cluster)));
    let calls = calls(cluster)?;
    println!("\n{}", paint("A pod that calls it by its name:", Paint::Bold));
    println!("  {} calls, {} failed, answered by {}", calls["sent"], calls["failed"], calls["answers"]);
    Ok(())
}

/// Prints commands that are worth a try.
pub(super) fn commands(cluster: &NodeCluster, foreign: &str) {
    let dns_address = cluster.addresses().dns();
    let system = install::NAMESPACE;
    println!("{}", paint("To try:", Paint::Bold));
    println!("  source {}", state::shown(&state::folder().join("env")));
    println!("  kubectl get pods --all-namespaces");
    println!("  kubectl get rollcall --all-namespaces");
    println!("  helm test rollcall --namespace {system}");
    println!("  kubectl logs deployment/{CALLER} --namespace {NAMESPACE} --follow");
    println!("  kubectl rollout restart deployment/{SERVICE} --namespace {NAMESPACE}    # and no call fails");
    println!("  kubectl logs deployment/rollcall-controller --namespace {system}");
    println!(
        "  inside kdig @{dns_address} {SERVICE}.{NAMESPACE}.svc.cluster.local    # inside: in the cluster's network"
    );
    println!("  inside kdig @{dns_address} {foreign}");
}

/// The latest report of the caller.
pub(super) fn calls(cluster: &NodeCluster) -> Result<Value> {
    let pod = format!("deployment/{CALLER}");
    let line = cluster.kubectl().run(&["logs", &pod, "--namespace", NAMESPACE, "--tail=1"])?;
    serde_json::from_str(&line).with_context(|| format!("the caller says: {line}"))
}

/// The endpoints of the catalog, each with what it is in EndpointSlices.
fn endpoints(cluster: &NodeCluster) -> Result<Vec<Vec<String>>> {
    let kubectl = cluster.kubectl();
    let of_service = format!("kubernetes.io/service-name={SERVICE}");
    let slices = kubectl.list(&["endpointslices", "--namespace", NAMESPACE, "--selector", &of_service])?;
    let ready: BTreeSet<&str> = slices.iter().flat_map(ready).collect();
    let entry = kubectl.get(&["catalogentry", SERVICE, "--namespace", NAMESPACE])?;
    let mut rows: Vec<Vec<String>> = array(&entry["endpoints"]).map(|endpoint| row(endpoint, &ready)).collect();
    rows.sort();
    Ok(rows)
}

fn ready(slice: &Value) -> impl Iterator<Item = &str> {
    let ready = array(&slice["endpoints"]).filter(|endpoint| endpoint["conditions"]["ready"] == true);
    ready.map(|endpoint| text(&endpoint["addresses"][0]))
}

fn row(endpoint: &Value, ready: &BTreeSet<&str>) -> Vec<String> {
    let address = text(&endpoint["addresses"][0]);
    let slice = if ready.contains(address) { "ready" } else { "not ready" };
    let words = [&endpoint["name"], &endpoint["origin"], &endpoint["health"]].map(|value| text(value).to_owned());
    let [name, origin, health] = words;
    vec![address.to_owned(), name, origin, slice.to_owned(), health]
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn dns(cluster: &NodeCluster) -> Vec<Vec<String>> {
    let service = format!("{SERVICE}.{NAMESPACE}.svc.cluster.local.");
    let questions = [(service.clone(), RecordType::A), (format!("_http._tcp.{service}"), RecordType::SRV)];
    let ask = |name: &str, kind| -> Result<String> {
        let server = SocketAddr::from((cluster.addresses().dns(), 53));
        cluster.inside(|| resolve::resolve(server, name, kind))
    };
    let row = |(name, kind): (String, RecordType)| {
        let answer = ask(&name, kind).unwrap_or_else(|error| format!("{error:#}"));
        vec![format!("{name} {kind}"), answer]
    };
    questions.into_iter().map(row).collect()
}
