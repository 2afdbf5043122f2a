//! `cargo xtask generate`: the same tests that fail on drift write the files when told so.

use anyhow::{Result, bail};
use rollcall_e2e::cargo::cargo;
use rollcall_e2e::layout;

use crate::{chart, terminal};

/// Writes everything: first what the chart's files are made from.
pub(crate) fn generate() -> Result<()> {
    by_test("manifests/crds from crds/", &["generated"])?;
    by_test("docs/metrics.md from controller/ and dns/", &["metrics"])?;
    let step = terminal::begin("generating charts/rollcall from its values.yaml and manifests/crds");
    if let Err(error) = chart::generate() {
        step.failed();
        return Err(error);
    }
    step.done();
    by_test("manifests/rbac*.yaml from charts/rollcall", &["chart", "manifests"])?;
    by_test("docs/mcs-conformance.md from the cases of e2e/tests/clusters", &["clusters", "the_page_is"])
}

/// Runs the files of tests of this name, out of the whole workspace: what they depend on is built with the features that
/// every other tests' is, and so once.
fn by_test(what: &str, test: &[&str]) -> Result<()> {
    let step = terminal::begin(&format!("generating {what}"));
    let output = cargo()
        .args(["test", "--quiet", "--workspace", "--test"])
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
