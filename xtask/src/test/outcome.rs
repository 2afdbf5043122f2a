//! The steps of a run, what they came to, and where the time went.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rollcall_e2e::clock;

use super::pool::Report;
use super::{disk, run};
use crate::terminal::{self, Paint, Step, paint};

/// So many of the slowest scenarios are named.
const SLOWEST: usize = 10;

/// What the steps came to.
#[derive(Debug)]
pub(super) struct Outcome {
    start: Instant,
    steps: Vec<(String, Duration)>,
    scenarios: Vec<(String, Duration)>,
    failed: Vec<String>,
    skipped: Vec<String>,
    passed: u64,
}

/// Runs a command as a step that is no test.
pub(super) fn command(command: Command, _line: &Step) -> Result<Vec<Report>> {
    let output = run::followed(command, |_| {})?;
    if !output.status.success() {
        bail!("{}", log(&output));
    }
    Ok(Vec::new())
}

/// All that a command has said.
pub(super) fn log(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout))
}

// === impl Outcome ===

impl Outcome {
    /// The run begins.
    pub(super) fn begin() -> Self {
        let (steps, scenarios, failed, skipped) = Default::default();
        Self { start: clock::now(), steps, scenarios, failed, skipped, passed: 0 }
    }

    /// Does a step. It fails by an error, or by a program that did not end well.
    pub(super) fn step(&mut self, name: &str, body: impl FnOnce(&Step) -> Result<Vec<Report>>) {
        let (line, start) = (terminal::begin(name), clock::now());
        let done = body(&line);
        self.steps.push((name.to_owned(), start.elapsed()));
        match done {
            Ok(reports) => {
                let (well, ill): (Vec<_>, Vec<_>) =
                    reports.into_iter().partition(|report| report.output.status.success());
                if ill.is_empty() {
                    line.done();
                } else {
                    line.failed();
                }
                well.iter().chain(&ill).for_each(|report| self.count(report));
                ill.iter().for_each(|report| println!("{}", log(&report.output)));
                if !ill.is_empty() {
                    self.failed.push(name.to_owned());
                }
            }
            Err(error) => {
                line.failed();
                println!("{error:#}");
                self.failed.push(name.to_owned());
            }
        }
    }

    /// What the tests on a real node run was made beside other steps, and the last of them waited for it so long, or it failed.
    pub(super) fn made(&mut self, ready: Result<()>, waited: Duration) {
        const NAME: &str = "images, beside the end-to-end tests";
        match ready {
            Ok(()) if waited > Duration::from_secs(1) => self.steps.push((NAME.to_owned(), waited)),
            Ok(()) => {}
            Err(error) => self.step(NAME, |_| Err(error)),
        }
    }

    /// Leaves a step out, and says why: a line each.
    pub(super) fn skip(&mut self, name: &str, why: &[String]) {
        println!("{name} … {}", paint("skipped", Paint::Warn));
        why.iter().for_each(|words| println!("  - {words}"));
        self.skipped.push(name.to_owned());
    }

    fn count(&mut self, report: &Report) {
        let seen = &report.seen;
        self.passed += seen.passed;
        self.scenarios.extend(seen.times.iter().cloned());
        let (passed, failed, seconds) = (seen.passed, seen.failed.len(), report.took.as_secs_f32());
        if passed > 0 || failed > 0 {
            let ignored = seen.ignored.len();
            println!("  {}: {passed} passed, {failed} failed, {ignored} skipped, {seconds:.1} s", report.name);
        }
        for words in &seen.ignored {
            println!("  {} {words}", paint("skipped:", Paint::Warn));
            self.skipped.push(words.split(',').next().unwrap_or(words).to_owned());
        }
    }

    /// Says where the time went and what the run came to; an error if it did not go well.
    pub(super) fn end(self, filter: Option<&str>) -> Result<()> {
        print!("\n{}", self.tables());
        let (passed, skipped) = (self.passed, &self.skipped);
        let left_out = if skipped.is_empty() { String::new() } else { format!("; skipped: {}", skipped.join(", ")) };
        println!("\n{passed} tests passed in {:.0} s{left_out}", self.start.elapsed().as_secs_f32());
        if !self.failed.is_empty() {
            let disk = disk::remedy().map(|words| format!(". {words}")).unwrap_or_default();
            bail!("{}{disk}", self.failed.join(", "));
        }
        match filter {
            Some(filter) if passed == 0 && skipped.is_empty() => bail!("no test has {filter:?} in its name"),
            _ => Ok(()),
        }
    }

    fn tables(&self) -> String {
        let mut slowest = self.scenarios.clone();
        slowest.sort_by(|(_, one), (_, other)| other.cmp(one));
        slowest.truncate(SLOWEST);
        let mut tables = table("where the time went", &self.steps);
        if slowest.len() > 1 {
            tables += &table("the slowest scenarios, some of them side by side", &slowest);
        }
        tables
    }
}

fn table(heading: &str, rows: &[(String, Duration)]) -> String {
    let row = |(name, took): &(String, Duration)| vec![format!("{:>7.1}", took.as_secs_f32()), name.clone()];
    terminal::table(&["seconds", heading], &rows.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_scenarios_are_named_slowest_first() {
        let mut outcome = Outcome::begin();
        outcome.steps.push(("a step".to_owned(), Duration::from_millis(3210)));
        let scenario = |number: u64| (format!("scenario_{number}"), Duration::from_secs(number));
        outcome.scenarios.extend((1..=20).map(scenario));
        let tables = outcome.tables();
        assert!(tables.contains("3.2  a step"), "{tables}");
        let named: Vec<&str> = tables.lines().filter_map(|line| line.split("scenario_").nth(1)).collect();
        assert_eq!(named, ["20", "19", "18", "17", "16", "15", "14", "13", "12", "11"]);
    }
}
