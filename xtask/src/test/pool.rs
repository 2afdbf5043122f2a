//! Test programs, some at a time.

use std::collections::VecDeque;
use std::process::Output;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rollcall_e2e::clock;

use super::follow::{End, Follower, Seen};
use super::run;
use super::suite::Program;
use crate::terminal::Step;

/// A program that has ended.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) name: String,
    pub(super) output: Output,
    pub(super) seen: Seen,
    pub(super) took: Duration,
}

/// Runs programs in their order, at most `width` at a time, and returns what became of each when all have ended.
pub(super) fn run(programs: Vec<Program>, width: usize, step: &Step) -> Result<Vec<Report>> {
    run_beside(programs, width, Vec::new, step)
}

/// The same, and beside them, one after the other, those that `late` gives once it has waited for what they run.
pub(super) fn run_beside(
    programs: Vec<Program>,
    width: usize,
    late: impl FnOnce() -> Vec<Program>,
    step: &Step,
) -> Result<Vec<Report>> {
    let (width, queue) = (width.min(programs.len()), Mutex::new(VecDeque::from(programs)));
    let (reports, passed) = (Mutex::new(Vec::new()), Mutex::new(0_u64));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let progress = |(name, end): (String, End)| {
        let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
        *passed += u64::from(end == End::Passed);
        step.progress(&format!("{passed} passed, last {name}"));
    };
    let run = |program| {
        let report = run_one(program, &progress);
        reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    };
    let work = || {
        while let Some(program) = next() {
            run(program);
        }
    };
    std::thread::scope(|scope| {
        (0..width).for_each(|_| drop(scope.spawn(work)));
        late().into_iter().for_each(run);
    });
    reports.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
}

fn run_one(program: Program, progress: &dyn Fn((String, End))) -> Result<Report> {
    let (name, start) = (program.name.clone(), clock::now());
    let mut follower = Follower::new(program.is_in_turn.then_some(start));
    let output = run::followed(program.into_command(), |line| {
        if let Some(ended) = follower.line(line, clock::now()) {
            progress(ended);
        }
    });
    let output = output.with_context(|| name.clone())?;
    Ok(Report { name, output, seen: follower.seen, took: start.elapsed() })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::terminal;

    #[test]
    fn all_programs_run_and_each_says_what_became_of_it() {
        let program = |name: &str, script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Program::new(name, command, None)
        };
        let programs = vec![
            program("one", "echo 'test a ... ok'; echo 'test b ... ok'"),
            program("two", "echo 'test c ... FAILED'; exit 101"),
            program("three", "echo 'test d ... ignored'"),
        ];
        let step = terminal::begin("a step");
        let late = || vec![program("late", "echo 'test e ... ok'")];
        let mut reports = run_beside(programs, 2, late, &step).unwrap();
        step.failed();
        reports.sort_by(|one, other| one.name.cmp(&other.name));
        let seen: Vec<_> =
            reports.iter().map(|its| (its.name.as_str(), its.seen.passed, its.seen.failed.len())).collect();
        assert_eq!(seen, [("late", 1, 0), ("one", 2, 0), ("three", 0, 0), ("two", 0, 1)]);
        let ended: Vec<_> = reports.iter().map(|report| report.output.status.success()).collect();
        assert_eq!(ended, [true, true, true, false]);
    }
}
