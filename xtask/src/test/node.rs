//! The stage on a real node: images as pods. It needs root and features of the kernel, and says so where they are missing.

use std::process::Command;

use anyhow::{Context, Result, bail};
use rollcall_e2e::{node, tools};

use super::{Outcome, log, run_cargo};
use crate::image;
use crate::terminal::{Paint, cargo, paint};

const NAME: &str = "end-to-end tests on a real node";
const PACKAGE: [&str; 4] = ["test", "--package", "rollcall-e2e-node", "--quiet"];

/// Runs the stage, or says why it is left out.
pub(super) fn stage(outcome: &mut Outcome, filter: Option<&str>) {
    let missing = node::missing();
    if !missing.is_empty() {
        println!("{NAME} … {}", paint("skipped, since this machine lacks something:", Paint::Warn));
        missing.iter().for_each(|words| println!("  - {words}"));
        return;
    }
    // A filter is for one test; images take minutes.
    if let (Some(filter), Ok(false)) = (filter, filter.map_or(Ok(true), has_test)) {
        println!("{NAME} … {}", paint(&format!("none has {filter:?} in its name"), Paint::Faint));
        return;
    }
    outcome.step("what the tests on a real node run", &prepare);
    outcome.step(NAME, &|| Ok(tests(filter)));
}

fn has_test(filter: &str) -> Result<bool> {
    let listed = run_cargo(&PACKAGE).args(["--", "--list", filter]).output().context("starting cargo")?;
    if !listed.status.success() {
        bail!("{}", log(&listed));
    }
    Ok(!listed.stdout.is_empty())
}

/// Makes programs and images ready, while there is a network; the command builds the tests.
fn prepare() -> Result<Command> {
    tools::node()?;
    image::build(&image::Options::default())?;
    Ok(run_cargo(&[&PACKAGE[..], &["--no-run"]].concat()))
}

fn tests(filter: Option<&str>) -> Command {
    let mut command = Command::new(cargo());
    // Not quiet: the line that names the tests is what `counts` reads.
    command.args(["test", "--offline", "--package", "rollcall-e2e-node", "--"]).args(filter);
    super::in_workspace(command, &[])
}
