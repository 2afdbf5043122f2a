//! `cargo xtask bench`: measurements as tables on the terminal and as JSON under `target/bench/`.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use rollcall_e2e::layout;

use crate::terminal::{self, Paint, cargo, paint};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Only the core, which needs no control plane.
    #[arg(long)]
    core: bool,
    /// Services of the end-to-end bench, each of ten endpoints; can be repeated. 1,000 and 10,000 if not given.
    #[arg(long, value_name = "N")]
    services: Vec<usize>,
}

/// Measures.
pub(crate) fn bench(options: &Options) -> Result<()> {
    let results = layout::target().join("bench");
    std::fs::create_dir_all(&results).with_context(|| format!("making {}", results.display()))?;
    println!("{}", paint("The core: apply, merge, snapshot, memory", Paint::Bold));
    run(&["bench", "--quiet", "--package", "rollcall-catalog"])?;
    run(&["bench", "--quiet", "--package", "rollcall-health"])?;
    if !options.core {
        println!("{}", paint("\nEnd to end: start-up, memory, change to callers (some minutes)", Paint::Bold));
        end_to_end(&options.services)?;
        println!("{}", paint("\nAgents: connected to one controller, and on a machine", Paint::Bold));
        run(&["bench", "--quiet", "--package", "rollcall-controller", "--bench", "agents"])?;
        println!("{}", paint("\nThe API port: long polls that wait, answers a second", Paint::Bold));
        run(&["bench", "--quiet", "--package", "rollcall-controller", "--bench", "api"])?;
        run(&["bench", "--quiet", "--package", "rollcall-agent"])?;
    }
    println!("\nThe figures as JSON: {}", results.display());
    Ok(())
}

/// Builds the bench and what it measures in one go, so that they share their dependencies.
fn end_to_end(services: &[usize]) -> Result<()> {
    const PACKAGES: [&str; 3] = ["rollcall-controller", "rollcall-dns", "rollcall-e2e-bench"];
    let step = terminal::begin("building, optimised (some minutes the first time)");
    let packages = PACKAGES.iter().flat_map(|package| ["--package", package]);
    step.outcome(run(&["build", "--release", "--quiet"].into_iter().chain(packages).collect::<Vec<_>>()))?;
    let binaries = layout::cargo_target().join("release");
    let mut bench = Command::new(binaries.join("rollcall-e2e-bench"));
    bench.args(services.iter().map(ToString::to_string));
    let status = bench.env("ROLLCALL_E2E_BINARIES", binaries).status().context("starting the end-to-end bench")?;
    if !status.success() {
        bail!("the end-to-end bench ended with {status}");
    }
    Ok(())
}

fn run(args: &[&str]) -> Result<()> {
    let status = Command::new(cargo()).args(args).current_dir(layout::root()).status().context("starting cargo")?;
    if !status.success() {
        bail!("cargo {} ended with {status}", args.join(" "));
    }
    Ok(())
}
