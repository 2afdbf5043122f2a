//! `cargo xtask bench`: measurements as tables on the terminal and as JSON under `target/bench/`.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use rollcall_e2e::layout;

use crate::terminal::{Paint, cargo, paint};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Only the core, which needs no control plane.
    #[arg(long)]
    core: bool,
}

/// Measures.
pub(crate) fn bench(options: &Options) -> Result<()> {
    let results = layout::target().join("bench");
    std::fs::create_dir_all(&results).with_context(|| format!("making {}", results.display()))?;
    println!("{}", paint("The core: apply, merge, snapshot, memory", Paint::Bold));
    run(&["bench", "--quiet", "--package", "rollcall-catalog"])?;
    if !options.core {
        bail!("the end-to-end bench is not written yet; the core's results are in {}", results.display());
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
