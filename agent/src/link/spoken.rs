//! What was said on one stream, and what is to be said next. Pure: the board goes in, reports come out.

use std::collections::BTreeMap;

use rollcall_xds::proto::rollcall::v1::agent_report::Report;
use rollcall_xds::proto::rollcall::v1::answer::State;
use rollcall_xds::proto::rollcall::v1::hello::Lookout;
use rollcall_xds::proto::rollcall::v1::result::Verdict;
use rollcall_xds::proto::rollcall::v1::{self as wire, Answers};

use crate::board::{Board, Said, Told, beginning};

/// What was said on one stream.
#[derive(Debug)]
pub(super) struct Spoken {
    machine: String,
    agent_id: String,
    revision: u32,
    /// The last Hello: ids in the order of their places, and what was said of each.
    ids: Vec<String>,
    instances: Vec<wire::Instance>,
    results: BTreeMap<(u32, String), (Said, i64, String)>,
    has_left: bool,
    /// It lets itself be asked what replicas doubt.
    is_vantage: bool,
}

/// What the controller takes of an output.
const OUTPUT_BYTES_MAX: usize = 1024;

// === impl Spoken ===

impl Spoken {
    pub(super) fn new(machine: &str, agent_id: &str, is_vantage: bool) -> Self {
        Self {
            machine: machine.to_owned(),
            agent_id: agent_id.to_owned(),
            revision: 0,
            ids: Vec::new(),
            instances: Vec::new(),
            results: BTreeMap::new(),
            has_left: false,
            is_vantage,
        }
    }

    /// What is to be said, now that the board is so.
    pub(super) fn next(&mut self, board: &Board) -> Vec<Report> {
        let mut reports = Vec::new();
        if board.leaving {
            if self.revision > 0 && !self.has_left {
                self.has_left = true;
                reports.push(Report::Goodbye(wire::Goodbye::default()));
            }
            return reports;
        }
        reports.extend(self.hello(board));
        reports.extend(self.results(board));
        reports
    }

    /// Who answers are about, and what they say; of the last Hello alone.
    pub(super) fn about(&self, answers: Answers) -> Vec<(String, State, String)> {
        if answers.revision != self.revision {
            return Vec::new();
        }
        let about = |answer: wire::Answer| {
            let id = self.ids.get(answer.instance as usize)?;
            Some((id.clone(), answer.state(), answer.words))
        };
        answers.answers.into_iter().filter_map(about).collect()
    }

    fn hello(&mut self, board: &Board) -> Option<Report> {
        let instance = |held: &crate::board::Held| wire::Instance {
            maintenance: held.maintenance.clone().unwrap_or_default(),
            ..held.service.instance.clone()
        };
        let instances: Vec<_> = board.services.values().map(instance).collect();
        if self.revision > 0 && instances == self.instances {
            return None;
        }
        self.revision += 1;
        self.ids = board.services.keys().cloned().collect();
        self.instances = instances.clone();
        // Places may be others' now: everything is said again.
        self.results.clear();
        Some(Report::Hello(wire::Hello {
            machine: self.machine.clone(),
            agent_id: self.agent_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: self.revision,
            instances,
            lookout: if self.is_vantage { Lookout::Agent } else { Lookout::Nobody }.into(),
        }))
    }

    fn results(&mut self, board: &Board) -> Option<Report> {
        let mut results = Vec::new();
        for (instance, id) in (0..).zip(&self.ids) {
            for (check, told) in board.services.get(id).into_iter().flat_map(|held| &held.results) {
                let said = (told.health, told.since_ms, told.output.clone());
                let key = (instance, check.clone());
                if self.results.get(&key) == Some(&said) {
                    continue;
                }
                results.push(result(instance, check, told));
                self.results.insert(key, said);
            }
        }
        (!results.is_empty()).then_some(Report::Results(wire::Results { results }))
    }
}

fn result(instance: u32, check: &str, told: &Told) -> wire::Result {
    let verdict = match told.health {
        Said::Unknown => Verdict::Unknown,
        Said::Passing => Verdict::Passing,
        Said::Warning => Verdict::Warning,
        Said::Critical => Verdict::Critical,
    };
    let output = beginning(&told.output, OUTPUT_BYTES_MAX).to_owned();
    wire::Result { instance, check: check.to_owned(), verdict: verdict.into(), since_ms: told.since_ms, output }
}

#[cfg(test)]
mod tests;
