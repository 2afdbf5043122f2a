//! A real Envoy, whose clusters come from Rollcall by delta ADS.

mod bootstrap;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{Process, Program};
use crate::{http, kubeconfig, net, tools};

/// How long Envoy may take until it serves.
const READY_BOUND: Duration = Duration::from_secs(60);

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

// === impl Envoy ===

impl Envoy {
    /// Starts an Envoy that subscribes to the catalogs at these addresses, and waits until it has its first clusters.
    pub fn start(node: &str, catalogs: &[SocketAddr], routes: &[Route], folder: &Path) -> Result<Self> {
        let (admin, listener) = (net::free_loopback()?, net::free_loopback()?);
        let config = folder.join(format!("{node}.json"));
        let bootstrap = bootstrap::bootstrap(node, catalogs, routes, admin, listener);
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
