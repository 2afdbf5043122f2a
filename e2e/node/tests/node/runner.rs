//! Runs scenarios as libtest would, side by side: `cargo test` and `cargo xtask test` read it the same way.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};
use rollcall_e2e::clock;
use rollcall_e2e::node::{self, NodeCluster};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::harness;
use crate::pool::Clusters;

/// A test.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
}

/// What a test runs on.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// A cluster that it leaves as it found it, in namespaces that it removes.
    Shared(fn(&mut NodeCluster) -> Result<()>),
    /// A cluster that it starts and ends itself.
    Own(fn() -> Result<()>),
}

/// Scenarios on a cluster, by their functions' names.
macro_rules! scenarios {
    ($($function:ident),* $(,)?) => {
        &[$($crate::runner::Scenario { name: stringify!($function), run: $crate::runner::Run::Shared($function) }),*]
    };
}
pub(crate) use scenarios;

/// So many clusters at a time, on machines that have more than as many cores. Each takes about 1 GB.
const CLUSTERS_MAX: usize = 3;

/// Runs the scenarios that the arguments choose, and then what must be seen when all of them have ended.
pub(crate) fn main(scenarios: &[Scenario]) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder] = words.as_slice()
        && flag == harness::HOLD
    {
        return harness::hold(Path::new(folder));
    }
    let mut arguments = Arguments::from_args();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert_with(|| cores.min(CLUSTERS_MAX));
    let missing = if arguments.list { Vec::new() } else { node::missing() };
    missing.iter().for_each(|words| println!("skipped, since {words}"));
    match run(&arguments, scenarios, missing.is_empty()) {
        Ok(conclusions) if conclusions.iter().any(Conclusion::has_failed) => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, scenarios: &[Scenario], can_run: bool) -> Result<[Conclusion; 2]> {
    if can_run && !arguments.list {
        on_signals()?;
        rollcall_e2e::tools::node()?;
    }
    let clusters = Arc::new(Clusters::new()?);
    let on_cluster = |scenario: &Scenario| {
        let (Scenario { name, run }, clusters) = (*scenario, Arc::clone(&clusters));
        let body = move || match run {
            Run::Shared(run) => clusters.with(run),
            Run::Own(run) => run(),
        };
        trial(name, can_run, body)
    };
    let first = libtest_mimic::run(arguments, scenarios.iter().map(on_cluster).collect());
    let keep_logs = first.has_failed();
    let ends = Arc::clone(&clusters);
    let after = vec![
        trial(harness::ENDS, can_run, move || ends.end_and_leave_nothing(keep_logs)),
        trial(harness::KILLED, can_run, harness::kill_owner),
    ];
    // One after the other: what each leaves is looked for.
    let second = libtest_mimic::run(&Arguments { test_threads: Some(1), ..arguments.clone() }, after);
    clusters.end(keep_logs)?;
    Ok([first, second])
}

/// A test that can be left out, and says how long it took.
fn trial(name: &'static str, can_run: bool, body: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || {
        if !can_run {
            return Ok(Completion::ignored());
        }
        clock::check_interrupt().map_err(|error| Failed::from(format!("{error:#}")))?;
        let start = clock::now();
        let outcome = body();
        // On a line of its own, whatever others are about to say.
        println!("\ntook {:.1} s: {name}", start.elapsed().as_secs_f32());
        outcome.map(|()| Completion::Completed).map_err(|error| Failed::from(format!("{error:#}")))
    })
}

/// From a signal on, all waiting ends, no scenario begins, and clusters are ended as always: control groups would stay.
fn on_signals() -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).context("listening for Ctrl-C")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            clock::interrupt();
        }
    });
    Ok(())
}
