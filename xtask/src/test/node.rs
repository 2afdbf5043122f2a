//! The stage on a real node: images as pods. It needs root and features of the kernel, and says so where they are missing.

use std::process::Command;

use anyhow::{Context, Result, bail};
use rollcall_e2e::node;

use super::ahead::Ahead;
use super::{Outcome, log, run_cargo};
use crate::terminal::{Paint, cargo, paint};

const NAME: &str = "end-to-end tests on a real node";
const PACKAGE: [&str; 4] = ["test", "--package", "rollcall-e2e-node", "--quiet"];

/// Whether the stage is run, and which tests of it.
pub(super) struct Stage<'a> {
    filter: Option<&'a str>,
    missing: Vec<String>,
    has_tests: bool,
}

// === impl Stage ===

impl<'a> Stage<'a> {
    /// With tests whose name contains `filter`.
    pub(super) fn of(filter: Option<&'a str>) -> Self {
        // A filter is for one test; images take minutes. Tests that cannot be listed fail when they are run.
        let has_tests = filter.is_none_or(|filter| has_test(filter).unwrap_or(true));
        Self { filter, missing: node::missing(), has_tests }
    }

    /// Whether there is something to run, and this machine can.
    pub(super) fn is_wanted(&self) -> bool {
        self.missing.is_empty() && self.has_tests
    }

    /// Runs the stage, or says why it is left out.
    pub(super) fn run(self, outcome: &mut Outcome, ahead: &Ahead) {
        if !self.has_tests {
            let filter = self.filter.unwrap_or_default();
            println!("{NAME} … {}", paint(&format!("none has {filter:?} in its name"), Paint::Faint));
            return;
        }
        if self.missing.is_empty() {
            outcome.step("what the tests on a real node run", &|| prepare(ahead));
        }
        // Once more: programs that were missing may be there now, and the other way about.
        let missing = if self.missing.is_empty() { node::missing() } else { self.missing };
        if missing.is_empty() {
            outcome.step(NAME, &|| Ok(tests(self.filter)));
        } else {
            println!("{NAME} … {}", paint("skipped, since this machine lacks something:", Paint::Warn));
            missing.iter().for_each(|words| println!("  - {words}"));
        }
    }
}

fn has_test(filter: &str) -> Result<bool> {
    let listed = run_cargo(&PACKAGE).args(["--", "--list", filter]).output().context("starting cargo")?;
    if !listed.status.success() {
        bail!("{}", log(&listed));
    }
    Ok(!listed.stdout.is_empty())
}

/// Waits for programs and images, while there is a network; the command builds the tests.
fn prepare(ahead: &Ahead) -> Result<Command> {
    ahead.node()?;
    Ok(run_cargo(&[&PACKAGE[..], &["--no-run"]].concat()))
}

fn tests(filter: Option<&str>) -> Command {
    let mut command = Command::new(cargo());
    // Not quiet: the line that names the tests is what `counts` reads.
    command.args(["test", "--offline", "--package", "rollcall-e2e-node", "--"]).args(filter);
    super::in_workspace(command, &[])
}
