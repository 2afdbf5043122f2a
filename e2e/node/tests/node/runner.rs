//! Runs scenarios on one cluster, and prints what libtest would: `cargo xtask test` and people read it the same way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rollcall_e2e::clock;
use rollcall_e2e::layout::{self, Scratch};
use rollcall_e2e::node::{self, Config, NodeCluster};
use rollcall_e2e::process::{Identity, Program};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::traces::{Clusters, Traces};
use crate::two_nodes;
use crate::workload::BOUND;

/// A test. It leaves the cluster as it found it, in namespaces that it removes.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut NodeCluster) -> Result<()>,
}

/// Scenarios by their functions' names.
macro_rules! scenarios {
    ($($function:ident),* $(,)?) => {
        &[$($crate::runner::Scenario { name: stringify!($function), run: $function }),*]
    };
}
pub(crate) use scenarios;

/// The argument by which this program, started by itself, holds a cluster until it is killed.
const HOLD: &str = "--hold";

// Tests of the harness, around the scenarios.
const ENDS: &str = "a_cluster_that_ends_leaves_nothing";
const KILLED: &str = "a_cluster_whose_owner_is_killed_leaves_nothing";
const TWO_NODES: &str = "a_node_that_is_cut_off_loses_its_endpoints_until_it_is_back";

#[derive(Default)]
struct Outcome {
    passed: usize,
    failed: Vec<&'static str>,
    left_out: usize,
}

/// All scenarios whose name contains the first argument that is no flag.
pub(crate) fn main(groups: &[&[Scenario]]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder] = args.as_slice()
        && flag == HOLD
    {
        return hold(Path::new(folder));
    }
    let filter = args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or_default();
    if args.iter().any(|arg| arg == "--list") {
        return list(groups, &filter);
    }
    let missing = node::missing();
    if !missing.is_empty() {
        println!("skipped, all of them: {}", missing.join("; "));
        println!("test result: ok. 0 passed; 0 failed; all ignored");
        return ExitCode::SUCCESS;
    }
    let start = clock::now();
    let mut outcome = Outcome::default();
    if let Err(error) = run_all(groups, &filter, &mut outcome) {
        println!("{error:#}");
        outcome.failed.push("the cluster itself");
    }
    let (word, code) =
        if outcome.failed.is_empty() { ("ok", ExitCode::SUCCESS) } else { ("FAILED", ExitCode::FAILURE) };
    if !outcome.failed.is_empty() {
        println!("\nfailures:\n    {}", outcome.failed.join("\n    "));
    }
    let Outcome { passed, failed, left_out } = outcome;
    let (failed, seconds) = (failed.len(), start.elapsed().as_secs_f32());
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} filtered out; \
         finished in {seconds:.2}s"
    );
    code
}

/// As libtest does.
fn list(groups: &[&[Scenario]], filter: &str) -> ExitCode {
    let names = groups.iter().copied().flatten().map(|scenario| scenario.name).chain([ENDS, KILLED, TWO_NODES]);
    names.filter(|name| name.contains(filter)).for_each(|name| println!("{name}: test"));
    ExitCode::SUCCESS
}

fn run_all(groups: &[&[Scenario]], filter: &str, outcome: &mut Outcome) -> Result<()> {
    let wanted = |name: &str| name.contains(filter);
    let (chosen, others): (Vec<_>, Vec<_>) = groups.iter().copied().flatten().partition(|its| wanted(its.name));
    outcome.left_out = others.len();
    if chosen.is_empty() && ![ENDS, KILLED, TWO_NODES].into_iter().any(wanted) {
        return Ok(());
    }
    on_signals()?;
    rollcall_e2e::tools::node()?;
    let before = Traces::now()?;
    if !chosen.is_empty() || wanted(ENDS) {
        let scratch = Scratch::new("node")?;
        let mut cluster = start(scratch.path())?;
        for scenario in chosen {
            if clock::is_interrupted() {
                break;
            }
            outcome.record(scenario.name, || (scenario.run)(&mut cluster));
        }
        let stopping = clock::now();
        outcome.record(ENDS, || {
            cluster.stop()?;
            before.expect_nothing_of(Clusters { makers: &[ourselves()?], folders: &[scratch.path()] })
        });
        println!("  the cluster ended in {:.1} s", stopping.elapsed().as_secs_f32());
        if outcome.failed.is_empty() {
            scratch.remove()?;
        }
    }
    clock::check_interrupt()?;
    if wanted(KILLED) {
        outcome.record(KILLED, || kill_owner(&before));
    }
    clock::check_interrupt()?;
    if wanted(TWO_NODES) {
        outcome.record(TWO_NODES, two_nodes::a_node_that_is_cut_off_loses_its_endpoints_until_it_is_back);
    }
    Ok(())
}

/// From a signal on, all waiting ends, no scenario begins, and the cluster is ended as always: control groups would stay.
fn on_signals() -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).context("listening for Ctrl-C")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            clock::interrupt();
        }
    });
    Ok(())
}

/// This process, as a maker of clusters.
fn ourselves() -> Result<Identity> {
    Identity::own("runner").context("this process is not in /proc")
}

/// A cluster with all images that are there.
fn start(folder: &Path) -> Result<NodeCluster> {
    let start = clock::now();
    let config = Config { images: images()?, ..Config::new(folder) };
    let loaded = config.images.len();
    let cluster = NodeCluster::start(config)?;
    println!("node Ready after {:.1} s, {loaded} images of Rollcall loaded", start.elapsed().as_secs_f32());
    Ok(cluster)
}

/// The archives that `cargo xtask image` writes.
fn images() -> Result<Vec<PathBuf>> {
    let folder = layout::target().join("image");
    let Ok(entries) = folder.read_dir() else { return Ok(Vec::new()) };
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "tar")).collect())
}

/// Kills a process that holds a cluster, as hard as can be.
fn kill_owner(before: &Traces) -> Result<()> {
    let scratch = Scratch::new("node-killed")?;
    let us = std::env::current_exe().context("finding this program")?;
    let args = [HOLD.to_owned(), scratch.path().display().to_string()];
    let mut owner = Program::new("owner", us, scratch.path()).args(args).start()?;
    let ready = scratch.path().join("ready");
    owner.wait_until("its cluster", BOUND * 2, || Ok(ready.exists().then_some(())))?;
    let makers = [ourselves()?, owner.identity().context("it has ended by itself")?];
    owner.kill()?;
    clock::wait_until("the end of all that it had started", BOUND, || {
        before.expect_groups_alone_of(Clusters { makers: &makers, folders: &[scratch.path()] }).map(Some)
    })?;
    // Empty groups cannot end by themselves: the next cluster removes them.
    let next = Scratch::new("node-next")?;
    NodeCluster::start(Config::new(next.path()))?.stop()?;
    before.expect_nothing_of(Clusters { makers: &makers, folders: &[scratch.path(), next.path()] })?;
    next.remove()?;
    scratch.remove()
}

fn hold(folder: &Path) -> ExitCode {
    match NodeCluster::start(Config::new(folder)) {
        Ok(_cluster) => {
            let _ = std::fs::write(folder.join("ready"), "");
            loop {
                clock::pause(Duration::from_secs(60));
            }
        }
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

// === impl Outcome ===

impl Outcome {
    fn record(&mut self, name: &'static str, body: impl FnOnce() -> Result<()>) {
        let start = clock::now();
        let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err(anyhow!("it panicked, see above")));
        let seconds = start.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("test {name} ... ok ({seconds:.1} s)");
            }
            Err(error) => {
                println!("test {name} ... FAILED ({seconds:.1} s)\n{error:#}");
                self.failed.push(name);
            }
        }
    }
}
