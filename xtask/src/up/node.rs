//! `up --node`: a cluster with a real node, on which Helm installs the chart and the images run as pods.

mod show;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use anyhow::{Result, bail};
use rollcall_e2e::install::NAMESPACE;
use rollcall_e2e::node::{self, CLUSTER_DNS, Config, MACHINE_PORT, NodeCluster, WORKLOAD_IMAGE};
use rollcall_e2e::process::Process;
use rollcall_e2e::{clock, layout, tools};
use serde_json::{Value, json};

use super::state::{self, State};
use super::{example, node::show as tables};
use crate::image::{self, Component};
use crate::terminal::{self, Paint, paint};

/// A name that is not the cluster's, which the name server of its network knows.
const FOREIGN: &str = "vm-1.example.com";

/// Starts everything and waits for Ctrl-C.
pub(super) fn supervise(is_detached: bool) -> Result<()> {
    let missing = node::missing();
    if !missing.is_empty() {
        bail!("this machine cannot run a node:\n  - {}", missing.join("\n  - "));
    }
    let start = clock::now();
    State::begin(None)?;
    tools::node()?;
    tools::helm()?;
    let images = image::build(&image::Options::default())?;
    clock::check_interrupt()?;

    let step = terminal::begin("starting a control plane and a node");
    let archives = Component::ALL.iter().map(|component| Ok(images.of(*component)?.archive.clone()));
    let config = Config { images: archives.collect::<Result<_>>()?, ..Config::new(state::folder()) };
    let mut cluster = step.outcome(NodeCluster::start(config))?;
    let mut machines = install(&cluster)?;
    State::of(cluster.processes().chain(&mut machines))?
        .write_with_programs(cluster.kubectl(), &programs(&cluster)?)?;
    tables::example(&cluster)?;
    println!("\nUp after {:.0} s.\n", start.elapsed().as_secs_f32());
    tables::commands(FOREIGN);
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

/// Installs the chart, starts the machines outside the cluster, and applies the example.
fn install(cluster: &NodeCluster) -> Result<Vec<Process>> {
    let since: Instant = clock::now();
    let step = terminal::begin("helm install: Rollcall as the cluster's DNS, in a restricted namespace");
    step.outcome(helm_install(cluster))?;
    clock::check_interrupt()?;
    let step = terminal::begin("applying the example shop, with two machines outside the cluster and a caller");
    let machines = step.outcome(shop(cluster))?;
    let step = terminal::begin("waiting for a pod that finds and calls the service by its name");
    step.outcome(tables::wait_for_calls(cluster))?;
    terminal::note(&format!("{:.0} s from helm install to that", since.elapsed().as_secs_f32()));
    Ok(machines)
}

fn helm_install(cluster: &NodeCluster) -> Result<()> {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}});
    cluster.kubectl().apply(&namespace.to_string())?;
    let chart = layout::root().join("charts/rollcall").display().to_string();
    let address = format!("dns.service.clusterIP={CLUSTER_DNS}");
    let settings = ["--set", "dns.mode=clusterDNS", "--set", &address];
    let install = ["install", "rollcall", &chart, "--namespace", NAMESPACE, "--wait", "--timeout", "3m"];
    cluster.helm(&[&install[..], &settings].concat()).map(drop)
}

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
    cluster.kubectl().apply(&caller().to_string())?;
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

/// A pod that calls the service by its name all the time.
fn caller() -> Value {
    let url = format!("http://{}/", example::SERVICE);
    let labels = json!({"app": tables::CALLER});
    let container = json!({"name": "caller", "image": WORKLOAD_IMAGE, "args": ["call", "--rate=5", url]});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": tables::CALLER, "namespace": example::NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    })
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
