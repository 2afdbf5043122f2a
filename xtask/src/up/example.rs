//! The example: a Service of two pods and two machines outside the cluster, which `up` plays itself.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rollcall_e2e::agent::{self, Agent, Settings};
use rollcall_e2e::process::{Process, Program};
use rollcall_e2e::rollcall::Rollcall;
use rollcall_e2e::{Kubectl, http, layout, net};
use serde_json::{Value, json};

use super::cluster::Cluster;
use crate::terminal;

/// Its namespace.
pub(super) const NAMESPACE: &str = "shop";
/// Its service.
pub(super) const SERVICE: &str = "payments";

/// What the agent registers.
pub(super) const AGENTS_SERVICE: &str = "ledger";

/// Its machines outside the cluster.
pub(super) const MACHINES: [&str; 2] = ["vm-1", "vm-2"];

/// Starts the two machines' HTTP servers and applies `manifests/examples/shop.yaml` with their addresses. Where the first of
/// them is, comes back beside them.
pub(super) fn start(cluster: &Cluster, folder: &Path) -> Result<(Vec<Process>, Option<SocketAddr>)> {
    let step = terminal::begin("applying the example shop, with two HTTP servers outside the cluster");
    step.outcome(try_start(cluster, folder))
}

fn try_start(cluster: &Cluster, folder: &Path) -> Result<(Vec<Process>, Option<SocketAddr>)> {
    let addresses = net::outside_addresses()?;
    let mut machines = Vec::new();
    let mut processes = Vec::new();
    for (name, ip) in MACHINES.into_iter().zip(addresses.iter().cycle()) {
        let address = SocketAddr::new(*ip, net::free_port()?);
        processes.push(serve(name, address, folder)?);
        machines.push((name, address));
    }
    apply(cluster.kubectl(), &machines, |_| {})?;
    Ok((processes, machines.first().map(|(_, address)| *address)))
}

/// Starts an agent on the first machine, which registers its server for a service of its own.
pub(super) fn agent(
    program: &Path,
    cluster: &Cluster,
    rollcall: &Rollcall,
    machine: SocketAddr,
    folder: &Path,
) -> Result<Process> {
    let token = agent::account(cluster.kubectl(), NAMESPACE, "machines")?;
    let (ip, port) = (machine.ip(), machine.port());
    let service = format!(
        "service = \"{AGENTS_SERVICE}\"\nnamespace = \"{NAMESPACE}\"\naddresses = [\"{ip}\"]\nports = {{ http = {port} }}\n\
         heartbeat = {{ interval = \"1s\", ttl = \"5s\" }}\n\
         [[local_check]]\nname = \"healthz\"\nhttp = \"http://{machine}/healthz\"\ninterval = \"2s\"\n"
    );
    let settings = Settings {
        machine: MACHINES[0],
        controllers: rollcall.catalogs().iter().map(|address| format!("http://{address}")).collect(),
        token: &token,
        more: "",
        services: &[("ledger.toml", &service)],
    };
    let mut agent = Agent::start(program, &settings, folder)?;
    agent.await_state(&format!("{NAMESPACE}/{AGENTS_SERVICE}"), "registered", "")?;
    Ok(agent.process)
}

/// Applies `manifests/examples/shop.yaml` with the addresses of these machines, each object after `adjust`.
pub(super) fn apply(kubectl: &Kubectl, machines: &[(&str, SocketAddr)], adjust: impl Fn(&mut Value)) -> Result<()> {
    apply_file(kubectl, &layout::root().join("manifests/examples/shop.yaml"), machines, adjust)
}

/// The same of another file.
pub(super) fn apply_file(
    kubectl: &Kubectl,
    file: &Path,
    machines: &[(&str, SocketAddr)],
    adjust: impl Fn(&mut Value),
) -> Result<()> {
    let file = file.display().to_string();
    // kubectl reads YAML; what it prints is one JSON object after the other.
    let objects = kubectl.run(&["create", "--dry-run=client", "--output", "json", "-f", &file])?;
    for object in serde_json::Deserializer::from_str(&objects).into_iter::<Value>() {
        let mut object = object.context("kubectl create --dry-run gave no JSON")?;
        // Some versions print a List.
        let items = object.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
        for mut item in items.unwrap_or_else(|| vec![object]) {
            if item["kind"] == "ServiceRegistration" {
                put_addresses(&mut item, machines)?;
            }
            adjust(&mut item);
            kubectl.apply(&item.to_string())?;
        }
    }
    Ok(())
}

/// The HTTP server of a further machine.
pub(super) fn one_more(name: &str, folder: &Path) -> Result<(Process, SocketAddr)> {
    let addresses = net::outside_addresses()?;
    let ip = addresses.iter().cycle().nth(MACHINES.len()).context("no address for a machine")?;
    let address = SocketAddr::new(*ip, net::free_port()?);
    Ok((serve(name, address, folder)?, address))
}

pub(super) fn serve(name: &str, address: SocketAddr, folder: &Path) -> Result<Process> {
    let us = std::env::current_exe().context("finding this program")?;
    let mut process = Program::new(name, us, folder).args(["serve-http", name, &address.to_string()]).start()?;
    process.wait_until(&format!("{name} to answer at {address}"), std::time::Duration::from_secs(60), || {
        Ok((http::get(address, "/healthz")?.status == 200).then_some(()))
    })?;
    Ok(process)
}

/// The example's addresses are those of documentation; here are real ones.
fn put_addresses(registration: &mut Value, machines: &[(&str, SocketAddr)]) -> Result<()> {
    let port = registration["spec"]["ports"][0]["name"].clone();
    let endpoints = registration["spec"]["endpoints"].as_array_mut().context("a registration without endpoints")?;
    for endpoint in endpoints {
        let name = endpoint["name"].as_str().unwrap_or_default().to_owned();
        let Some((_, address)) = machines.iter().find(|(machine, _)| *machine == name) else {
            bail!("the example registers {name}, which `up` does not play")
        };
        endpoint["addresses"] = json!([address.ip()]);
        endpoint["ports"] = json!([{"name": port, "port": address.port()}]);
    }
    Ok(())
}
