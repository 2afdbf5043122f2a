//! Every query of the dashboard has an answer when real programs are scraped: none asks for a metric or a label that is gone.

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::backend::Backend;
use rollcall_e2e::dns::Kdig;
use rollcall_e2e::install::{self, Installation};
use rollcall_e2e::layout::{self, Scratch};
use rollcall_e2e::process::Program;
use rollcall_e2e::rollcall::{Binaries, Controller, Dns, Profile, Rollcall};
use rollcall_e2e::{ControlPlane, Kubectl, Process, clock, http, net, tools};
use serde_json::{Value, json};
use support::api::NAMESPACE;
use support::{BOUND, step};

const DASHBOARD: &str = "charts/rollcall/files/dashboards/rollcall.json";
const SERVICE: &str = "payments";
const REGISTRATION: &str = "payments-vm";
/// A name of the world outside of the cluster.
const OUTSIDE: &str = "www.example.com";
/// Where clients find the authority's certificate.
const BUNDLE: &str = "rollcall-ca";

#[test]
fn every_query_of_the_dashboard_has_an_answer() -> Result<()> {
    let queries = queries()?;
    let binaries = Binaries::build(Profile::Dev)?;
    let scratch = Scratch::new("dashboard")?;
    let folder = scratch.path();
    let plane = step("a control plane starts", || ControlPlane::start(folder))?;
    let kubectl = plane.kubectl();
    let installation = install::install_from(kubectl, folder, "rbac-federation.yaml")?;
    link(kubectl)?;
    let machine = Backend::start("vm-1", SocketAddr::new(net::outside_addresses()?[0], net::free_port()?))?;
    register(kubectl, &machine)?;
    let (upstream, server) = upstream(folder)?;
    let mut rollcall =
        step("controllers and DNS servers start", || start(&binaries, kubectl, &installation, server, folder))?;
    let mut pages = Vec::new();
    step("something happens, and all queries are answered", || {
        let mut weight = 1;
        clock::wait_until("answers to all queries", BOUND, || {
            pages.extend(scrape(&rollcall)?);
            weight += 1;
            happen(kubectl, &rollcall, weight)?;
            pages.extend(scrape(&rollcall)?);
            answered(&pages, &queries).map(Some)
        })
    })?;
    println!("    {} queries, {} pages", queries.len(), pages.len());
    ensure!(rollcall.stop()?.is_empty(), "a program did not end on SIGTERM");
    drop((upstream, machine, plane));
    scratch.remove()
}

/// The dashboard's own, as Grafana sends them when nothing is left out.
fn queries() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(layout::root().join(DASHBOARD)).context(DASHBOARD)?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries: Vec<String> = targets.filter_map(|target| target["expr"].as_str()).map(as_sent).collect();
    ensure!(queries.len() > 20, "only {} queries were found", queries.len());
    Ok(queries)
}

fn as_sent(query: &str) -> String {
    let query = query.replace("$__rate_interval", "5m");
    ["$namespace", "$job", "$instance"].into_iter().fold(query, |query, variable| query.replace(variable, ".*"))
}

/// To a cluster that is not there: what is measured of a link begins with the object.
fn link(kubectl: &Kubectl) -> Result<()> {
    let spec = json!({
        "addresses": ["127.0.0.1:1"], "secretName": "link-elsewhere", "import": { "namespaces": ["*"] },
    });
    let link = json!({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "ClusterLink", "metadata": { "name": "elsewhere" }, "spec": spec,
    });
    kubectl.apply(&link.to_string()).map(drop)
}

/// A name server of the world outside.
fn upstream(folder: &Path) -> Result<(Process, SocketAddr)> {
    let server = net::free_loopback()?;
    let program = Program::new("upstream", tools::workload()?, folder);
    let record = format!("{OUTSIDE}=192.0.2.80");
    let mut process = program.args(["dns", "--listen", &server.to_string(), &record]).start()?;
    let kdig = Kdig::new(server)?;
    process.wait_until("the name server to answer", BOUND, || kdig.data(OUTSIDE, "A").map(Some))?;
    Ok((process, server))
}

/// With TLS from Rollcall's own authority, as the chart sets it up.
fn start(
    binaries: &Binaries,
    kubectl: &Kubectl,
    installation: &Installation,
    upstream: SocketAddr,
    folder: &Path,
) -> Result<Rollcall> {
    for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", BUNDLE)] {
        let metadata = json!({"name": name, "namespace": install::NAMESPACE});
        kubectl.apply(&json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}).to_string())?;
    }
    let tls = ["--tls", "authority", "--tls-dns-name", "127.0.0.1", "--cluster-id", "here"];
    let start = |index| Controller::start(binaries, installation, &format!("controller-{index}"), folder, &tls);
    let mut controllers = (0..2).map(start).collect::<Result<Vec<_>>>()?;
    controllers.iter_mut().try_for_each(Controller::wait_ready)?;
    let bundle = kubectl.get(&["configmap", BUNDLE, "--namespace", install::NAMESPACE])?;
    // The control plane has a ca.crt of its own here.
    let path = folder.join("stream-ca.crt");
    std::fs::write(&path, bundle["data"]["ca.crt"].as_str().context("the ConfigMap has no ca.crt")?)?;
    let mut flags = vec!["--catalog-ca-file".to_owned(), path.display().to_string()];
    flags.extend(controllers.iter().flat_map(|its| ["--catalog".to_owned(), format!("https://{}", its.grpc)]));
    kubectl.run(&["create", "serviceaccount", "dns", "--namespace", install::NAMESPACE])?;
    let token = folder.join("dns-token");
    std::fs::write(&token, rollcall_e2e::agent::token(kubectl, install::NAMESPACE, "dns")?)?;
    flags.extend(["--catalog-token-file".to_owned(), token.display().to_string()]);
    flags.extend(["--forward".to_owned(), upstream.to_string()]);
    flags.extend(["--top-metrics", "10", "--workers", "1"].map(str::to_owned));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut dns = Dns::start(binaries, installation, "dns", &[], folder, &flags)?;
    dns.wait_ready()?;
    Ok(Rollcall { controllers, dns: vec![dns] })
}

fn register(kubectl: &Kubectl, machine: &Backend) -> Result<()> {
    let address = machine.address();
    let ports = json!([{"name": "http", "port": address.port()}]);
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE, "namespace": NAMESPACE},
            "spec": {"ports": [{"name": "http", "port": 80}]},
        },
        {
            "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
            "metadata": {"name": REGISTRATION, "namespace": NAMESPACE},
            "spec": {
                "service": SERVICE,
                "ports": [{"name": "http", "port": 8080}],
                "endpoints": [{"name": machine.name(), "addresses": [address.ip()], "ports": ports}],
                "checks": [{"name": "healthz", "http": {"path": "/healthz"}, "interval": "1s"}],
            },
        },
    ]});
    kubectl.apply(&objects.to_string()).map(drop)
}

/// What moves the metrics: a change that callers are told, and queries for names of both worlds.
fn happen(kubectl: &Kubectl, rollcall: &Rollcall, weight: u32) -> Result<()> {
    let patch = json!([{"op": "add", "path": "/spec/endpoints/0/weight", "value": weight}]).to_string();
    let patch =
        ["patch", "serviceregistration", REGISTRATION, "--namespace", NAMESPACE, "--type=json", "--patch", &patch];
    kubectl.run(&patch)?;
    let kdig = Kdig::new(rollcall.dns[0].listen)?;
    kdig.data(&format!("{SERVICE}.{NAMESPACE}.svc.cluster.local."), "A")?;
    // One query in 16 is counted.
    for _ in 0..16 {
        kdig.ask(&format!("nobody.{NAMESPACE}.svc.cluster.local."), "A")?;
    }
    kdig.data(OUTSIDE, "A").map(drop)
}

/// The metrics of all programs now, with the labels that a scrape adds.
fn scrape(rollcall: &Rollcall) -> Result<Vec<Value>> {
    let controllers = rollcall.controllers.iter().map(|its| ("controller", its.process.name(), its.http));
    let dns = rollcall.dns.iter().map(|its| ("dns", its.process.name(), its.http));
    let page = |(job, instance, address): (&str, &str, SocketAddr)| -> Result<Value> {
        let page = http::get(address, "/metrics")?;
        ensure!(page.status == 200, "{instance}: {page:?}");
        Ok(json!({
            "at_ms": clock::unix_ms(),
            "labels": {"namespace": install::NAMESPACE, "job": job, "instance": instance},
            "content_type": "application/openmetrics-text; version=1.0.0",
            "text": page.body,
        }))
    };
    controllers.chain(dns).map(page).collect()
}

/// An error that names the queries without an answer.
fn answered(pages: &[Value], queries: &[String]) -> Result<()> {
    let mut command = Command::new(tools::promcheck()?);
    let mut check = command.arg("answers").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let asked = json!({"pages": pages, "queries": queries}).to_string();
    // One that ends early says why.
    let _ = check.stdin.take().context("no way to talk to promcheck")?.write_all(asked.as_bytes());
    let output = check.wait_with_output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
