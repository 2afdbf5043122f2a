//! `cargo xtask generate`: the same tests that fail on drift write the files when told so.

use std::process::Command;

use anyhow::{Result, bail};
use rollcall_e2e::layout;

use crate::terminal;

/// Writes `manifests/crds`.
pub(crate) fn generate() -> Result<()> {
    let step = terminal::begin("generating manifests/crds from crds/");
    let output = Command::new(terminal::cargo())
        .args(["test", "--quiet", "--package", "rollcall-crds", "--test", "generated"])
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
