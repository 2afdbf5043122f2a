//! `cargo xtask test`: one line for each step, the log of what failed, and at the end where the time went.
//!
//! ```text
//! suite    test programs: built by cargo, asked which tests they have
//! pool     runs programs side by side; follow reads what they print
//! outcome  steps, what they came to, and the closing tables
//! ahead    makes tools and images while earlier steps run
//! examples those in documentation
//! disk     whether there is room for it
//! network  the network that end-to-end tests are in
//! node     the stage on a real node
//! ```

mod ahead;
mod disk;
mod examples;
mod follow;
mod network;
mod node;
mod outcome;
mod pool;
mod run;
mod suite;

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use rollcall_e2e::cargo::cargo;
use rollcall_e2e::rollcall::PROGRAMS;
use rollcall_e2e::{clock, layout, tools};

use ahead::Ahead;
use network::Network;
use outcome::Outcome;
use suite::{Program, Suite, Tier};

/// What to check.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave out the end-to-end tests, and with them all that needs a control plane.
    #[arg(long)]
    no_e2e: bool,
    /// Only tests whose name contains this, or a whole file of tests by its name; format, lints and licences are left out
    /// then.
    filter: Option<String>,
}

/// Runs all steps, also after one has failed, and fails at the end if any did.
pub(crate) fn test(options: &Options) -> Result<()> {
    if options.filter.is_none() {
        disk::look()?;
    }
    let mut outcome = Outcome::begin();
    let filter = options.filter.as_deref();
    let wanted = |tier: Tier| filter.is_none_or(|filter| tier.mentions(filter));
    let with_e2e = !options.no_e2e && wanted(Tier::EndToEnd);
    let node = node::Stage::new(!options.no_e2e && wanted(Tier::Node));
    let ahead = Ahead::begin(with_e2e || node.is_wanted(), node.images(filter));
    if filter.is_none() {
        checks(&mut outcome);
    }
    if wanted(Tier::Unit) {
        units(&mut outcome, filter);
    }
    let programs = if with_e2e { end_to_end(&mut outcome, &ahead, filter) } else { Vec::new() };
    let on_node = node.prepare(&mut outcome, filter);
    run_all(&mut outcome, programs, on_node, ahead);
    outcome.end(filter)
}

const END_TO_END: &str = "end-to-end tests";

/// Format, lints, licences.
fn checks(outcome: &mut Outcome) {
    outcome.step("format", |line| outcome::command(run_cargo(&["fmt", "--all", "--check"]), line));
    let lints = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
    outcome.step("lints", |line| outcome::command(run_cargo(&lints), line));
    const LICENCES: &str = "licences and advisories";
    if tools::on_path("cargo-deny").is_some() {
        let deny = ["deny", "--log-level", "error", "check"];
        outcome.step(LICENCES, |line| outcome::command(run_cargo(&deny), line));
    } else {
        outcome.skip(LICENCES, &["cargo install cargo-deny".to_owned()]);
    }
}

fn units(outcome: &mut Outcome, filter: Option<&str>) {
    let mut suite = Suite::default();
    outcome.step("building the unit tests", |_| {
        suite = Suite::build(Tier::Unit, filter)?;
        Ok(Vec::new())
    });
    outcome.step("unit and property tests", |line| {
        let mut programs = suite.programs(filter, |program| Command::new(program))?;
        // With a filter they are tried when nothing else has that name.
        if filter.is_none() || programs.is_empty() {
            programs.insert(0, Program::new("documentation", examples::command()?, filter));
        }
        // Those that start whole controllers come first and wait: others use the cores meanwhile.
        pool::run(programs, cores() + 2, line)
    });
}

/// What the end-to-end tests run is built; their programs.
fn end_to_end(outcome: &mut Outcome, ahead: &Ahead, filter: Option<&str>) -> Vec<Program> {
    let Some(network) = Network::find() else {
        outcome.skip(END_TO_END, &network::remedies());
        return Vec::new();
    };
    let mut programs = Vec::new();
    outcome.step("what the end-to-end tests run", |_| {
        let suite = Suite::build(Tier::EndToEnd, filter)?;
        build_programs()?;
        ahead.end_to_end()?;
        // Last: without what they run, tests would wait for it in vain.
        programs = suite.programs(filter, |program| network.command(program))?;
        Ok(Vec::new())
    });
    for program in &mut programs {
        program.in_turn();
        program.command.env("ROLLCALL_E2E_BINARIES", layout::cargo_target().join("debug"));
    }
    programs
}

/// Runs end-to-end tests. Each program has a network and a control plane of its own, and waits more than it computes;
/// that of the real node, which does the same, runs beside them from when its images are there.
fn run_all(outcome: &mut Outcome, programs: Vec<Program>, on_node: Vec<Program>, ahead: Ahead) {
    let name = match (programs.is_empty(), on_node.is_empty()) {
        (true, true) => return outcome.made(ahead.node(), Duration::ZERO),
        (true, false) => node::NAME,
        (false, _) => END_TO_END,
    };
    let is_shared = Network::find().is_some_and(|network| network.is_shared());
    let width = if is_shared { 1 } else { cores().min(SIDE_BY_SIDE_MAX) };
    let (begun, mut made) = (clock::now(), None);
    outcome.step(name, |line| {
        let late = || {
            let ready = ahead.node();
            let programs = if ready.is_ok() { on_node } else { Vec::new() };
            made = Some((ready, clock::now()));
            programs
        };
        pool::run_beside(programs, width, late, line)
    });
    if let Some((ready, then)) = made {
        outcome.made(ready, then - begun);
    }
}

/// So many control planes fit into the memory of a small machine.
const SIDE_BY_SIDE_MAX: usize = 3;

/// The programs of Rollcall that end-to-end tests start.
fn build_programs() -> Result<()> {
    let built = run_cargo(&["build", "--quiet"]).args(PROGRAMS).output()?;
    if !built.status.success() {
        bail!("{}", outcome::log(&built));
    }
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn run_cargo(args: &[&str]) -> Command {
    let mut command = cargo();
    in_workspace(&mut command).args(args);
    command
}

fn in_workspace(command: &mut Command) -> &mut Command {
    // Backtraces of errors that tests return are longer than the errors.
    command.env("RUST_LIB_BACKTRACE", "0").current_dir(layout::root()).stdin(Stdio::null())
}
