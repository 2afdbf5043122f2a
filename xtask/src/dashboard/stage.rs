//! What is watched: a control plane with pods, machines outside of it, Rollcall, and clients of DNS.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rollcall_e2e::backend::{Backend, Mode};
use rollcall_e2e::install::{self, Installation};
use rollcall_e2e::process::Program;
use rollcall_e2e::rollcall::{Binaries, Controller, Dns, Rollcall};
use rollcall_e2e::{ControlPlane, Kubectl, net};
use serde_json::{Value, json};

use super::load::Load;
use super::prometheus::Scraped;
use super::upstream;

/// Everything that runs. Drop order: clients first, the control plane last.
#[derive(Debug)]
pub(super) struct Stage {
    _load: Load,
    pub(super) rollcall: Rollcall,
    machines: Vec<Backend>,
    plane: ControlPlane,
}

const NAMESPACE: &str = "shop";
/// Services of pods, with how many there are at first.
const PODS: [(&str, u32); 3] = [("payments", 24), ("web", 40), ("search", 16)];
/// Registrations that are there at first, with the number of their machines.
const MACHINES: [(&str, usize); 2] = [("payments", 12), ("orders", 8)];
/// Where clients find the authority's certificate.
const BUNDLE: &str = "rollcall-ca";

// === impl Stage ===

impl Stage {
    /// Starts everything, with logs in `folder`.
    pub(super) fn start(binaries: &Binaries, folder: &Path) -> Result<Self> {
        let plane = ControlPlane::start(folder)?;
        let kubectl = plane.kubectl();
        let installation = install::install(kubectl, folder)?;
        kubectl
            .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}).to_string())?;
        PODS.iter().try_for_each(|(name, pods)| deploy(kubectl, name, *pods))?;
        let mut machines = Vec::new();
        for (service, count) in MACHINES {
            machines.extend(register(kubectl, service, count)?);
        }
        let rollcall = start_rollcall(binaries, kubectl, &installation, folder)?;
        let load = Load::start(rollcall.dns.iter().map(|dns| dns.listen).collect())?;
        Ok(Self { _load: load, rollcall, machines, plane })
    }

    /// What Prometheus scrapes.
    pub(super) fn targets(&self) -> Vec<Scraped> {
        let scraped = |job, name: &str, address| Scraped { job, instance: name.to_owned(), address };
        let controllers = self.rollcall.controllers.iter();
        let controllers = controllers.map(|its| scraped("rollcall-controller", its.process.name(), its.http));
        let dns = self.rollcall.dns.iter().map(|its| scraped("rollcall-dns", its.process.name(), its.http));
        controllers.chain(dns).collect()
    }

    /// kubectl as administrator.
    pub(super) fn kubectl(&self) -> &Kubectl {
        self.plane.kubectl()
    }

    /// Scales a service of pods.
    pub(super) fn scale(&self, name: &str, pods: u32) -> Result<()> {
        let (name, pods) = (format!("deployment/{name}"), format!("--replicas={pods}"));
        self.kubectl().run(&["scale", &name, &pods, "--namespace", NAMESPACE]).map(drop)
    }

    /// Starts machines and registers them for a service.
    pub(super) fn add_machines(&mut self, service: &str, count: usize) -> Result<()> {
        let more = register(self.plane.kubectl(), service, count)?;
        self.machines.extend(more);
        Ok(())
    }

    /// Lets the first machines do something else.
    pub(super) fn set_machines(&mut self, count: usize, mode: Mode) -> Result<()> {
        self.machines.iter_mut().take(count).try_for_each(|machine| machine.set(mode))
    }

    /// Takes the machines of a service into maintenance.
    pub(super) fn maintain(&self, service: &str) -> Result<()> {
        let patch = json!({"spec": {"maintenance": {"reason": "a new kernel"}}}).to_string();
        let name = format!("{service}-vm");
        let patch =
            ["patch", "serviceregistration", &name, "--namespace", NAMESPACE, "--type=merge", "--patch", &patch];
        self.kubectl().run(&patch).map(drop)
    }

    /// Changes something small that callers are told: the weight of a machine.
    pub(super) fn touch(&self, weight: usize) -> Result<()> {
        let patch = json!([{"op": "add", "path": "/spec/endpoints/0/weight", "value": weight}]).to_string();
        let name = format!("{}-vm", MACHINES[1].0);
        let patch = ["patch", "serviceregistration", &name, "--namespace", NAMESPACE, "--type=json", "--patch", &patch];
        self.kubectl().run(&patch).map(drop)
    }

    /// The replica that leads.
    pub(super) fn leader(&mut self) -> Result<&mut Controller> {
        let lease = self.kubectl().get(&["lease", "rollcall-controller", "--namespace", install::NAMESPACE])?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
        let found = self.rollcall.controllers.iter_mut().find(|controller| controller.process.name() == holder);
        found.with_context(|| format!("no replica is called {holder:?}, which holds the Lease"))
    }

    /// Ends everything in order.
    pub(super) fn end(mut self) -> Result<()> {
        let killed = self.rollcall.stop()?;
        if !killed.is_empty() {
            bail!("{} did not end when asked to and had to be killed", killed.join(", "));
        }
        Ok(())
    }
}

/// With TLS from Rollcall's own authority, as the chart sets it up.
fn start_rollcall(
    binaries: &Binaries,
    kubectl: &Kubectl,
    installation: &Installation,
    folder: &Path,
) -> Result<Rollcall> {
    for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", BUNDLE)] {
        let metadata = json!({"name": name, "namespace": install::NAMESPACE});
        kubectl.apply(&json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}).to_string())?;
    }
    let tls = ["--tls", "authority", "--tls-dns-name", "127.0.0.1"];
    let start = |index| Controller::start(binaries, installation, &format!("controller-{index}"), folder, &tls);
    let mut controllers = (0..2).map(start).collect::<Result<Vec<_>>>()?;
    controllers.iter_mut().try_for_each(Controller::wait_ready)?;
    let bundle = kubectl.get(&["configmap", BUNDLE, "--namespace", install::NAMESPACE])?;
    // The control plane has a ca.crt of its own here.
    let path = folder.join("stream-ca.crt");
    std::fs::write(&path, bundle["data"]["ca.crt"].as_str().context("the ConfigMap has no ca.crt")?)?;
    let mut flags = vec!["--catalog-ca-file".to_owned(), path.display().to_string()];
    flags.extend(controllers.iter().flat_map(|its| ["--catalog".to_owned(), format!("https://{}", its.grpc)]));
    flags.extend(["--forward".to_owned(), upstream::start()?.to_string()]);
    let start = |name| start_dns(binaries, name, &flags, folder);
    let mut dns = ["dns-0", "dns-1"].into_iter().map(start).collect::<Result<Vec<_>>>()?;
    dns.iter_mut().try_for_each(Dns::wait_ready)?;
    Ok(Rollcall { controllers, dns })
}

fn start_dns(binaries: &Binaries, name: &str, flags: &[String], folder: &Path) -> Result<Dns> {
    let (listen, http) = (net::free_loopback()?, net::free_loopback()?);
    let program = Program::new(name, &binaries.dns, folder)
        .args(["--listen", &listen.to_string(), "--http-listen", &http.to_string()])
        .args(flags.iter().cloned());
    Ok(Dns { process: program.start()?, listen, http })
}

fn deploy(kubectl: &Kubectl, name: &str, pods: u32) -> Result<()> {
    let (app, ports) = (json!({"app": name}), json!([{"name": "http", "port": 80, "targetPort": 8080}]));
    let container = json!({"name": name, "image": "registry.example/shop:1.0"});
    let template = json!({"metadata": {"labels": app}, "spec": {"containers": [container]}});
    let metadata = json!({"name": name, "namespace": NAMESPACE});
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": app, "ports": ports}});
    let spec = json!({"replicas": pods, "selector": {"matchLabels": app}, "template": template});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec});
    kubectl.apply(&service.to_string())?;
    kubectl.apply(&deployment.to_string()).map(drop)
}

fn register(kubectl: &Kubectl, service: &str, count: usize) -> Result<Vec<Backend>> {
    let addresses = net::outside_addresses()?;
    let mut machines = Vec::new();
    for (number, ip) in (1..=count).zip(addresses.iter().cycle()) {
        machines.push(Backend::start(&format!("vm-{number}"), SocketAddr::new(*ip, net::free_port()?))?);
    }
    let endpoint = |machine: &Backend| -> Value {
        let ports = json!([{"name": "http", "port": machine.address().port()}]);
        json!({"name": machine.name(), "addresses": [machine.address().ip()], "ports": ports})
    };
    let registration = json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": {"name": format!("{service}-vm"), "namespace": NAMESPACE},
        "spec": {
            "service": service,
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": machines.iter().map(endpoint).collect::<Vec<_>>(),
            "checks": [{"name": "healthz", "http": {"path": "/healthz"}, "interval": "1s"}],
        },
    });
    kubectl.apply(&registration.to_string())?;
    Ok(machines)
}
