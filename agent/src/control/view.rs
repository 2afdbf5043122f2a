//! What the agent knows, as people and tools see it.

use std::collections::BTreeMap;
use std::fmt::Write;

use rollcall_xds::proto::rollcall::v1::answer::State;
use serde::{Deserialize, Serialize};

use crate::board::{Board, Held, Told};

/// Everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The name of the machine.
    pub machine: String,
    /// Version of the agent.
    pub version: String,
    /// Where the controller is, while it is connected.
    pub controller: Option<String>,
    /// Since when it is, or is not, in milliseconds since the epoch; 0 if it never was.
    pub since_ms: i64,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trouble: String,
    /// Beats sent.
    pub beats: u64,
    /// What is registered, by id.
    pub services: BTreeMap<String, Service>,
    /// What is wrong with the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// One instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// registered, waiting, refused, left, or unanswered.
    pub state: String,
    /// The name of its ServiceRegistration, or what is wrong and what to do.
    pub words: String,
    /// Why it is in maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
    /// What checks on the machine say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, Told>,
}

// === impl View ===

impl View {
    /// Of a board.
    pub fn of(machine: &str, board: &Board) -> Self {
        Self {
            machine: machine.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            controller: board.link.server.clone(),
            since_ms: board.link.since_ms,
            trouble: board.link.trouble.clone(),
            beats: board.link.beats,
            services: board.services.iter().map(|(id, held)| (id.clone(), Service::of(held))).collect(),
            problems: board.problems.clone(),
        }
    }

    /// As a table. `now_ms` is since the epoch.
    pub fn table(&self, now_ms: i64) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = match &self.controller {
            Some(server) => writeln!(
                text,
                "machine {} · connected to {server} for {} · {} beats",
                self.machine,
                age(now_ms, self.since_ms),
                self.beats
            ),
            None => writeln!(
                text,
                "machine {} · not connected: {}",
                self.machine,
                or(&self.trouble, "no attempt has ended yet")
            ),
        };
        let mut rows = vec![["INSTANCE", "STATE", "CHECK", "SAYS", "FOR", "WHAT"].map(str::to_owned)];
        for (id, service) in &self.services {
            let (state, words) = match &service.maintenance {
                Some(reason) => (format!("{} (maintenance)", service.state), format!("{}; {reason}", service.words)),
                None => (service.state.clone(), service.words.clone()),
            };
            rows.push([id.clone(), state, String::new(), String::new(), String::new(), words]);
            for (name, told) in &service.checks {
                let says = format!("{:?}", told.health);
                // Its name stands beside it.
                let output = told.output.strip_prefix(&*format!("check {name}: ")).unwrap_or(&told.output).to_owned();
                rows.push([String::new(), String::new(), name.clone(), says, age(now_ms, told.since_ms), output]);
            }
        }
        columns(&rows, &mut text);
        for problem in &self.problems {
            let _ = writeln!(text, "problem: {problem}");
        }
        text
    }

    /// Whether all is as it should be.
    pub fn is_good(&self) -> bool {
        self.controller.is_some()
            && self.problems.is_empty()
            && self.services.values().all(|service| service.state == "registered")
    }
}

// === impl Service ===

impl Service {
    fn of(held: &Held) -> Self {
        let (state, words) = match &held.answer {
            None => ("unanswered", String::new()),
            Some((state, words)) => (word(*state), words.clone()),
        };
        Self { state: state.to_owned(), words, maintenance: held.maintenance.clone(), checks: held.results.clone() }
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Registered => "registered",
        State::Refused => "refused",
        State::Left => "left",
    }
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

fn age(now_ms: i64, since_ms: i64) -> String {
    let seconds = now_ms.saturating_sub(since_ms).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn columns<const N: usize>(rows: &[[String; N]], text: &mut String) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
}
