//! A real Envoy, whose clusters come from Rollcall: by delta ADS unless told otherwise.

mod bootstrap;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::process::{Process, Program};
use crate::{http, kubeconfig, net, tools};

/// How long Envoy may take until it serves.
const READY_BOUND: Duration = Duration::from_secs(60);

/// How an Envoy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The protocol.
    pub protocol: Transfer,
    /// On which streams.
    pub streams: Streams,
    /// Whether requests are tried again.
    pub retries: Retries,
}

/// What becomes of a request that its host did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// It fails.
    None,
    /// It is sent again, for some ten seconds.
    Many,
}

/// What an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// What changed.
    Delta,
    /// All that was asked for.
    StateOfTheWorld,
}

/// On how many streams resources come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// One for all types. Clusters come by CDS, as a wildcard.
    Aggregated,
    /// One for clusters, by the service of that type, and one for each cluster's endpoints.
    Single,
}

/// A route of Envoy's listener: requests whose path starts with `prefix` go to `cluster`.
#[derive(Clone, Debug)]
pub struct Route {
    /// The start of the path, such as `/payments`.
    pub prefix: String,
    /// The cluster's name in CDS.
    pub cluster: String,
}

/// An Envoy that runs. It ends when dropped.
#[derive(Debug)]
pub struct Envoy {
    /// Its process.
    pub process: Process,
    /// Its admin pages.
    pub admin: SocketAddr,
    /// Its HTTP listener, with the routes.
    pub listener: SocketAddr,
}

/// An endpoint of a cluster as Envoy sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// Address and port.
    pub address: String,
    /// Its EDS health as Envoy's admin page spells it: `HEALTHY`, `UNHEALTHY`, `DEGRADED`, `DRAINING`, `TIMEOUT`.
    pub health: String,
    /// Its load-balancing weight.
    pub weight: u64,
    /// Its zone.
    pub zone: String,
}

// === impl Variant ===

impl Default for Variant {
    fn default() -> Self {
        Self { protocol: Transfer::Delta, streams: Streams::Aggregated, retries: Retries::None }
    }
}

// === impl Envoy ===

impl Envoy {
    /// Starts an Envoy that subscribes to the catalogs at these addresses, and waits until it has its first clusters.
    pub fn start(node: &str, catalogs: &[SocketAddr], routes: &[Route], folder: &Path) -> Result<Self> {
        Self::start_as(Variant::default(), &json!({"id": node}), catalogs, routes, folder)
    }

    /// The same for an Envoy that asks in this way and says this of itself; `node` has its `id`.
    pub fn start_as(
        variant: Variant,
        node: &Value,
        catalogs: &[SocketAddr],
        routes: &[Route],
        folder: &Path,
    ) -> Result<Self> {
        let (admin, listener) = (net::free_loopback()?, net::free_loopback()?);
        let bootstrap = bootstrap::bootstrap(variant, node, catalogs, routes, admin, listener);
        let node = node["id"].as_str().context("a node without an id")?;
        let config = folder.join(format!("{node}.json"));
        kubeconfig::write_private(&config, &format!("{bootstrap:#}\n"))?;
        let program = Program::new(node, tools::envoy()?, folder)
            .args(["--config-path", &config.display().to_string(), "--concurrency", "1"])
            // Several Envoys on one machine would share a memory segment for hot restarts.
            .args(["--disable-hot-restart", "--log-level", "info"]);
        let mut envoy = Self { process: program.start()?, admin, listener };
        envoy.process.wait_until("Envoy to be ready", READY_BOUND, || {
            Ok((http::get(admin, "/ready")?.status == 200).then_some(()))
        })?;
        Ok(envoy)
    }

    /// The hosts of a cluster, sorted. `None` while Envoy does not know the cluster.
    pub fn hosts(&self, cluster: &str) -> Result<Option<Vec<Host>>> {
        let page = http::get_json(self.admin, "/clusters?format=json")?;
        let clusters = page["cluster_statuses"].as_array().context("/clusters holds no cluster_statuses")?;
        let Some(found) = clusters.iter().find(|its| its["name"] == cluster) else { return Ok(None) };
        let hosts = found["host_statuses"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut hosts: Vec<Host> = hosts.iter().map(host).collect();
        hosts.sort();
        Ok(Some(hosts))
    }

    /// The addresses of a cluster's hosts that are healthy, sorted; none when the cluster is unknown.
    pub fn healthy(&self, cluster: &str) -> Result<Vec<String>> {
        let hosts = self.hosts(cluster)?.unwrap_or_default();
        Ok(hosts.into_iter().filter(|host| host.health == "HEALTHY").map(|host| host.address).collect())
    }

    /// All that Envoy holds, endpoints included, with versions.
    pub fn config_dump(&self) -> Result<Value> {
        http::get_json(self.admin, "/config_dump?include_eds")
    }

    /// The value of a counter or gauge, such as `cluster_manager.cds.update_rejected`.
    pub fn stat(&self, name: &str) -> Result<u64> {
        let page = http::get(self.admin, &format!("/stats?filter=^{name}$"))?;
        let Some(value) = page.body.trim().strip_prefix(name) else { bail!("Envoy has no statistic {name}") };
        value.trim_start_matches(':').trim().parse().with_context(|| format!("the statistic {name}"))
    }

    /// Sends a request through the listener.
    pub fn request(&self, path: &str) -> Result<http::Response> {
        http::get(self.listener, path)
    }
}

fn host(status: &Value) -> Host {
    let socket = &status["address"]["socket_address"];
    Host {
        address: format!("{}:{}", socket["address"].as_str().unwrap_or("?"), socket["port_value"]),
        health: status["health_status"]["eds_health_status"].as_str().unwrap_or("HEALTHY").into(),
        weight: status["weight"].as_u64().unwrap_or(1),
        zone: status["locality"]["zone"].as_str().unwrap_or_default().into(),
    }
}
