//! `cargo xtask generate`: the same tests that fail on drift write the files when told so.

use std::process::Command;

use anyhow::{Result, bail};
use rollcall_e2e::layout;

use crate::{chart, terminal};

/// Writes everything: first what the chart's files are made from.
pub(crate) fn generate() -> Result<()> {
    by_test("manifests/crds from crds/", &["--package", "rollcall-crds", "--test", "generated"])?;
    by_test("docs/metrics.md from controller/", &["--package", "rollcall-controller", "--test", "metrics"])?;
    by_test("docs/metrics.md from dns/", &["--package", "rollcall-dns", "--lib", "docs_metrics_md"])?;
    let step = terminal::begin("generating charts/rollcall from its values.yaml and manifests/crds");
    if let Err(error) = chart::generate() {
        step.failed();
        return Err(error);
    }
    step.done();
    by_test("manifests/rbac.yaml from charts/rollcall", &["--package", "rollcall-e2e", "--test", "chart", "manifests"])
}

fn by_test(what: &str, test: &[&str]) -> Result<()> {
    let step = terminal::begin(&format!("generating {what}"));
    let output = Command::new(terminal::cargo())
        .args(["test", "--quiet"])
        .args(test)
        .env("UPDATE", "1")
        .current_dir(layout::root())
        .output()?;
    if !output.status.success() {
        step.failed();
        bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    step.done();
    Ok(())
}
