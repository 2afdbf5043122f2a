//! A cluster at size: generated Services and registrations instead of the example.

use anyhow::{Context, Result, bail};
use rollcall_e2e::control_plane::NODES;
use rollcall_e2e::rollcall::Rollcall;
use rollcall_e2e::tools;

use super::cluster::Cluster;
use crate::terminal;

/// More would measure KWOK and the control plane, not Rollcall.
const PODS_MAX: usize = 1_000;

/// Creates Services `service-I` in namespaces `load-J`, their registrations, and pods for some of them.
pub(super) fn fill(cluster: &Cluster, endpoints: usize, services: usize) -> Result<()> {
    let loader = tools::controlplane()?;
    let pods = if cluster.has_nodes() { (endpoints / 10).min(PODS_MAX) } else { 0 };
    let step = terminal::begin(&format!(
        "creating {services} services with {endpoints} endpoints, {pods} of them pods (at most {PODS_MAX})"
    ));
    let output = std::process::Command::new(loader)
        .args(["load", "--services", &services.to_string()])
        .args(["--endpoints", &endpoints.to_string()])
        .args(["--pods", &pods.to_string()])
        .args(NODES.iter().flat_map(|node| ["--node", node.name]))
        .env("KUBECONFIG", cluster.kubectl().kubeconfig())
        .output()
        .context("starting the loader")?;
    if !output.status.success() {
        step.failed();
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    step.done();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// Shows the processes' resident memory.
pub(super) fn show(rollcall: &mut Rollcall) -> Result<()> {
    let mut rows = Vec::new();
    for process in rollcall.processes() {
        let pid = process.pid().with_context(|| format!("{} does not run", process.name()))?;
        rows.push(vec![process.name().to_owned(), format!("{:.0} MB", resident_mb(pid)?)]);
    }
    print!("\n{}", terminal::table(&["PROCESS", "RESIDENT"], &rows));
    Ok(())
}

/// `VmRSS` of `/proc/PID/status`, proc(5).
fn resident_mb(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("reading /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")?;
    Ok(kib * 1024.0 / 1e6)
}
