//! `up --node`: a cluster with a real node, on which Helm installs the chart and the images run as pods.

mod linked;
mod show;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use rollcall_e2e::install::NAMESPACE;
use rollcall_e2e::node::{self, Config, MACHINE_PORT, NodeCluster, WORKLOAD_IMAGE};
use rollcall_e2e::process::Process;
use rollcall_e2e::{clock, layout, tools};
use serde_json::{Value, json};

use super::state::{self, State};
use super::{example, node::show as tables};
use crate::image::{self, Component};
use crate::terminal::{self, Paint, paint};

/// A name that is not the cluster's, which the name server of its network knows.
const FOREIGN: &str = "vm-1.example.com";

/// Starts everything and waits for Ctrl-C: so many clusters, each with a node that has Rollcall's images and these.
pub(super) fn supervise(count: u8, is_detached: bool, images: Vec<PathBuf>) -> Result<()> {
    if count > 1 {
        return linked::supervise(count, is_detached, images);
    }
    let start = clock::now();
    let images = prepare(images)?;
    let step = terminal::begin("starting a control plane and a node");
    let mut cluster = step.outcome(NodeCluster::start(Config { images, ..Config::new(state::folder()) }))?;
    let mut machines = install(&cluster)?;
    let state = State::of(cluster.processes().chain(&mut machines))?;
    state.write_programs("env", cluster.kubectl(), &programs(&cluster)?)?;
    state.write_json()?;
    tables::example(&cluster)?;
    println!("\nUp after {:.0} s.\n", start.elapsed().as_secs_f32());
    tables::commands(&cluster, FOREIGN);
    if is_detached {
        state::mark_ready()?;
    } else {
        println!("\n{}", paint("Ctrl-C ends everything.", Paint::Bold));
    }
    stay(&mut cluster, &mut machines);
    let step = terminal::begin("ending everything");
    drop(machines);
    step.outcome(cluster.stop())
}

/// What nodes run, and the images for them: Rollcall's, built, found built or given, and these.
fn prepare(mut images: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let missing = node::missing();
    if !missing.is_empty() {
        bail!("this machine cannot run a node:\n  - {}", missing.join("\n  - "));
    }
    for archive in &mut images {
        // Nodes have another working folder.
        *archive = archive.canonicalize().with_context(|| format!("--image {}", archive.display()))?;
    }
    State::begin(None)?;
    tools::node()?;
    tools::helm()?;
    if let Some(folder) = std::env::var_os(node::IMAGES).map(PathBuf::from) {
        images.extend(node::archives(&folder)?);
        return Ok(images);
    }
    let built = image::build(&image::Options::default())?;
    for component in Component::ALL {
        images.push(built.of(component)?.archive.clone());
    }
    clock::check_interrupt()?;
    Ok(images)
}

/// Installs the chart, starts the machines outside the cluster, and applies the example.
fn install(cluster: &NodeCluster) -> Result<Vec<Process>> {
    let since: Instant = clock::now();
    let step = terminal::begin("helm install: Rollcall as the cluster's DNS, in a restricted namespace");
    step.outcome(helm_install(cluster, &[]))?;
    clock::check_interrupt()?;
    let step = terminal::begin("applying the example shop, with two machines outside the cluster and a caller");
    let machines = step.outcome(shop(cluster))?;
    call(cluster, &format!("http://{}/", example::SERVICE))?;
    let step = terminal::begin("waiting for a pod that finds and calls the service by its name");
    step.outcome(tables::wait_for_calls(cluster))?;
    terminal::note(&format!("{:.0} s from helm install to that", since.elapsed().as_secs_f32()));
    Ok(machines)
}

/// With these settings besides.
fn helm_install(cluster: &NodeCluster, more: &[String]) -> Result<()> {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}});
    cluster.kubectl().apply(&namespace.to_string())?;
    let chart = layout::root().join("charts/rollcall").display().to_string();
    let address = format!("dns.service.clusterIP={}", cluster.addresses().dns());
    let settings = ["--set", "dns.mode=clusterDNS", "--set", &address];
    let install = ["install", "rollcall", &chart, "--namespace", NAMESPACE, "--wait", "--timeout", "3m"];
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    cluster.helm(&[&install[..], &settings, &more].concat()).map(drop)
}

/// The example, with the machines that it registers.
fn shop(cluster: &NodeCluster) -> Result<Vec<Process>> {
    let mut processes = Vec::new();
    let mut machines = BTreeMap::new();
    for (number, name) in (0..).zip(example::MACHINES) {
        processes.push(cluster.machine(name, number)?);
        machines.insert(name, SocketAddr::new(cluster.outside_address(number), MACHINE_PORT));
    }
    let foreign: IpAddr = cluster.outside_address(0);
    processes.push(cluster.name_server(&[(FOREIGN, foreign)])?);
    let machines: Vec<_> = machines.into_iter().collect();
    example::apply(cluster.kubectl(), &machines, run_here)?;
    Ok(processes)
}

/// The example's image cannot be pulled; this one is here.
fn run_here(object: &mut Value) {
    if object["kind"] != "Deployment" {
        return;
    }
    let container = &mut object["spec"]["template"]["spec"]["containers"][0];
    container["image"] = WORKLOAD_IMAGE.into();
    container["args"] = json!(["serve"]);
    container["env"] = json!([{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
    container["readinessProbe"] = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
}

/// A pod that calls a URL all the time.
fn call(cluster: &NodeCluster, url: &str) -> Result<()> {
    let labels = json!({"app": tables::CALLER});
    let container = json!({"name": "caller", "image": WORKLOAD_IMAGE, "args": ["call", "--rate=5", url]});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": tables::CALLER, "namespace": example::NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    cluster.kubectl().apply(&deployment.to_string()).map(drop)
}

/// What the user's shell gets: programs that are in the cluster's network.
fn programs(cluster: &NodeCluster) -> Result<Vec<(&'static str, String)>> {
    let inside = cluster.words().join(" ");
    let helm = format!("{inside} {}", tools::helm()?.display());
    Ok(vec![("kubectl", cluster.kubectl().words()), ("helm", helm), ("inside", inside)])
}

/// Until a signal comes. A process that ends is reported once.
fn stay(cluster: &mut NodeCluster, machines: &mut [Process]) {
    let mut reported = Vec::new();
    while !clock::is_interrupted() {
        for process in cluster.processes().chain(machines.iter_mut()) {
            let name = process.name().to_owned();
            if !reported.contains(&name) && !process.is_running() {
                terminal::note(&format!("{name} has ended; its log is {}", process.log().display()));
                reported.push(name);
            }
        }
        clock::pause(std::time::Duration::from_millis(100));
    }
    println!();
}
