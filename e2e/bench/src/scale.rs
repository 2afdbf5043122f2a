//! One size: a control plane of its own, filled, then Rollcall on it.

use std::fmt;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rollcall_e2e::control_plane::{Binaries as ControlPlaneBinaries, NODES};
use rollcall_e2e::install::{Installation, install};
use rollcall_e2e::layout::Scratch;
use rollcall_e2e::process::Process;
use rollcall_e2e::rollcall::{Binaries, Controller, Dns};
use rollcall_e2e::{Component, ControlPlane, clock, http, tools};

use crate::figures::Figures;
use crate::{Targets, latency};

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Services.
    pub(crate) services: usize,
    /// Endpoints of each.
    pub(crate) each: usize,
}

/// More would measure KWOK.
const PODS_MAX: usize = 1_000;
/// How long the first write-back may take: an object for each service, and its EndpointSlices.
const WRITE_BACK_BOUND: Duration = Duration::from_secs(900);
/// Without a write for this long, the write-back is done.
const QUIET: Duration = Duration::from_secs(5);

// === impl Scale ===

impl Scale {
    /// All endpoints.
    pub(crate) fn endpoints(self) -> usize {
        self.services * self.each
    }

    /// Measures.
    pub(crate) fn measure(self, control_plane: &ControlPlaneBinaries, rollcall: &Binaries) -> Result<Figures> {
        let scratch = Scratch::new("bench")?;
        let folder = scratch.path();
        println!("{self}: filling the control plane");
        let plane = ControlPlane::start_from(control_plane.clone(), folder)?;
        let installation = install(plane.kubectl(), folder)?;
        self.fill(&plane)?;

        let mut figures = Figures::new();
        println!("{self}: first start, and writing everything back");
        first_write_back(rollcall, &installation, folder)?;

        println!("{self}: start with everything written, and latencies");
        let start = clock::now();
        let mut controller = Controller::start(rollcall, &installation, "controller-0", folder, &[])?;
        controller.wait_ready()?;
        figures.push(("start to ready, s".into(), start.elapsed().as_secs_f64()));
        let start = clock::now();
        let mut dns = Dns::start(rollcall, &installation, "dns", &[controller.grpc], folder, &[])?;
        dns.wait_ready()?;
        figures.push(("DNS server, start to ready, s".into(), start.elapsed().as_secs_f64()));
        let writes = writes(controller.http)?;
        let targets = Targets { stream: controller.grpc, dns: dns.listen };
        figures.push(("writes after a restart".into(), quiet(&mut controller)? - writes));
        figures.push(("controller, MB".into(), resident_mb(&controller.process)?));
        figures.push(("DNS server, MB".into(), resident_mb(&dns.process)?));
        figures.extend(latency::measure(plane.kubectl(), targets)?);
        controller.process.stop()?;
        dns.process.stop()?;
        drop(plane);
        scratch.remove()?;
        Ok(figures)
    }

    fn fill(self, plane: &ControlPlane) -> Result<()> {
        let pods = if plane.has(Component::Kwok) { (self.endpoints() / 10).min(PODS_MAX) } else { 0 };
        let output = Command::new(tools::controlplane()?)
            .args(["load", "--services", &self.services.to_string(), "--endpoints", &self.endpoints().to_string()])
            .args(["--pods", &pods.to_string()])
            .args(NODES.iter().flat_map(|node| ["--node", node.name]))
            .env("KUBECONFIG", plane.kubectl().kubeconfig())
            .output()
            .context("starting the loader")?;
        if !output.status.success() {
            bail!("the loader: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.services, self.each)
    }
}

/// At the default rate the first write-back of 10,000 services takes minutes; here it is in the way.
fn first_write_back(rollcall: &Binaries, installation: &Installation, folder: &std::path::Path) -> Result<()> {
    let fast = ["--writes-per-second", "2000"];
    let mut controller = Controller::start(rollcall, installation, "controller-first", folder, &fast)?;
    controller.wait_ready()?;
    clock::wait_until("the first write", Duration::from_secs(60), || {
        Ok((writes(controller.http)? > 0.0).then_some(()))
    })?;
    quiet(&mut controller)?;
    controller.process.stop().map(drop)
}

/// Waits until nothing is written any more; returns the writes so far.
fn quiet(controller: &mut Controller) -> Result<f64> {
    let http = controller.http;
    let mut seen = (writes(http)?, clock::now());
    controller.process.wait_until("the end of the write-back", WRITE_BACK_BOUND, || {
        let now = writes(http)?;
        if now > seen.0 {
            seen = (now, clock::now());
        }
        Ok((seen.1.elapsed() >= QUIET).then_some(now))
    })
}

/// All writes to the API that the controller has counted.
fn writes(http: SocketAddr) -> Result<f64> {
    let page = http::get(http, "/metrics")?.body;
    let values = page.lines().filter(|line| line.starts_with("rollcall_writeback_writes_total"));
    Ok(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// `VmRSS` of `/proc/PID/status`, proc(5).
fn resident_mb(process: &Process) -> Result<f64> {
    let pid = process.pid().with_context(|| format!("{} does not run", process.name()))?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("reading /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")?;
    Ok(kib * 1024.0 / 1e6)
}
