//! `cargo xtask bench`: measurements as tables on the terminal and as JSON under `target/bench/`.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use rollcall_e2e::cargo::cargo;
use rollcall_e2e::layout;
use rollcall_e2e::rollcall::PROGRAMS;

use crate::terminal::{self, Paint, paint};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Only the core, which needs no control plane.
    #[arg(long)]
    core: bool,
    /// Only the stream's server beside go-control-plane, which is built from its Go module.
    #[arg(long, conflicts_with = "core")]
    xds: bool,
    /// Only the DNS server beside CoreDNS, which is built from its Go module, and Knot; all are loaded by dnsperf.
    #[arg(long, conflicts_with_all = ["core", "xds"])]
    dns: bool,
    /// With --xds, names of servers (Rollcall, linear, snapshot) and of steps, to measure these alone; an unknown one is answered with
    /// all there are.
    #[arg(last = true, requires = "xds", value_name = "NAME")]
    parts: Vec<String>,
    /// Services of the end-to-end bench, each of ten endpoints; can be repeated. 1,000 and 10,000 if not given.
    #[arg(long, value_name = "N")]
    services: Vec<usize>,
}

/// Measures.
pub(crate) fn bench(options: &Options) -> Result<()> {
    let results = layout::target().join("bench");
    std::fs::create_dir_all(&results).with_context(|| format!("making {}", results.display()))?;
    if options.xds {
        println!("{}", paint("The stream's server beside go-control-plane (some minutes)", Paint::Bold));
        let parts: Vec<&str> = options.parts.iter().map(String::as_str).collect();
        return run(&[&["run", "--release", "--quiet", "--package", "rollcall-bench-xds", "--"], &parts[..]].concat());
    }
    if options.dns {
        println!("{}", paint("The DNS server beside CoreDNS and Knot (some minutes)", Paint::Bold));
        return beside_name_servers();
    }
    println!("{}", paint("The core: apply, merge, snapshot, memory", Paint::Bold));
    measure(&["core"])?;
    println!("{}", paint("\nOne changed endpoint: merged, encoded, on the wire", Paint::Bold));
    measure(&["serve"])?;
    println!("{}", paint("\nChecks and beats", Paint::Bold));
    measure(&["checks", "beats"])?;
    if !options.core {
        println!("{}", paint("\nEnd to end: start-up, memory, change to callers (some minutes)", Paint::Bold));
        end_to_end(&options.services)?;
        println!("{}", paint("\nAgents: connected to one controller, and on a machine", Paint::Bold));
        measure(&["agents"])?;
        println!("{}", paint("\nVerdicts: from the replica that decides to the streams of all", Paint::Bold));
        measure(&["verdicts"])?;
        println!("{}", paint("\nLinks: from one cluster to what another one serves, and many peers", Paint::Bold));
        measure(&["federation"])?;
        println!("{}", paint("\nThe API port: long polls that wait, answers a second", Paint::Bold));
        measure(&["api", "idle"])?;
    }
    println!("\nThe figures as JSON: {}", results.display());
    Ok(())
}

fn end_to_end(services: &[usize]) -> Result<()> {
    let services: Vec<_> = services.iter().map(ToString::to_string).collect();
    with_programs("rollcall-e2e-bench", &services)
}

/// With `ROLLCALL_E2E_BINARIES` the programs of that folder are measured.
fn beside_name_servers() -> Result<()> {
    if std::env::var_os("ROLLCALL_E2E_BINARIES").is_some() {
        return run(&["run", "--quiet", "--package", "rollcall-bench-dns"]);
    }
    with_programs("rollcall-bench-dns", &[])
}

/// Builds a bench and what it measures in one go, so that they share their dependencies.
fn with_programs(bench: &str, args: &[String]) -> Result<()> {
    let step = terminal::begin("building, optimised (some minutes the first time)");
    step.outcome(run(&[&["build", "--release", "--quiet"], &PROGRAMS[..], &["--bin", bench]].concat()))?;
    let binaries = layout::cargo_target().join("release");
    let mut command = Command::new(binaries.join(bench));
    let status = command.args(args).env("ROLLCALL_E2E_BINARIES", binaries).status();
    let status = status.with_context(|| format!("starting {bench}"))?;
    if !status.success() {
        bail!("{bench} ended with {status}");
    }
    Ok(())
}

/// Runs benches of any crate, out of the whole workspace: what they depend on is built once.
fn measure(benches: &[&str]) -> Result<()> {
    let benches = benches.iter().flat_map(|name| ["--bench", name]);
    run(&["bench", "--quiet", "--workspace"].into_iter().chain(benches).collect::<Vec<_>>())
}

fn run(args: &[&str]) -> Result<()> {
    let status = cargo().args(args).current_dir(layout::root()).status().context("starting cargo")?;
    if !status.success() {
        bail!("cargo {} ended with {status}", args.join(" "));
    }
    Ok(())
}
