//! Checks that run on the machine: one task each, on the phases and thresholds of the controller's checks.
//!
//! - [`script`]: one execution of a script; all else is probed as the controller does it

pub mod script;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rollcall_health::probe::{Network, Prober, Probes};
use rollcall_health::state::CheckState;
use rollcall_health::{Outcome, schedule};
use tokio::task::AbortHandle;
use tracing::info;

use crate::board::{Said, Shared, Told};
use crate::clock::Clock;
use crate::config::{How, LocalCheck};

/// The checks that run.
#[derive(Debug)]
pub struct Checks {
    board: Shared,
    clock: Clock,
    machine: Arc<str>,
    running: HashMap<(String, String), (Arc<LocalCheck>, Running)>,
}

/// A task that ends with this.
#[derive(Debug)]
struct Running(AbortHandle);

/// One check of one instance.
struct Task {
    board: Shared,
    clock: Clock,
    id: String,
    check: Arc<LocalCheck>,
    machine: Arc<str>,
}

// === impl Checks ===

impl Checks {
    /// None yet; they tell the board.
    pub fn new(board: Shared, clock: Clock, machine: &str) -> Self {
        Self { board, clock, machine: machine.into(), running: HashMap::new() }
    }

    /// Runs what the board has, and nothing else. A check that stays as it is goes on.
    pub fn follow(&mut self) {
        let mut before = std::mem::take(&mut self.running);
        let board = self.board.borrow();
        for (id, held) in &board.services {
            for check in &held.service.checks {
                let key = (id.clone(), check.check.name.to_string());
                let same = before.remove(&key).filter(|(same, _)| *same == *check);
                let running = same.map(|(_, running)| running).unwrap_or_else(|| {
                    let known = held.results.get(&key.1).cloned();
                    let (board, clock, machine) = (Arc::clone(&self.board), self.clock, Arc::clone(&self.machine));
                    let task = Task { board, clock, id: id.clone(), check: Arc::clone(check), machine };
                    Running(tokio::spawn(task.run(known)).abort_handle())
                });
                self.running.insert(key, (Arc::clone(check), running));
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === impl Task ===

impl Task {
    /// Goes on from what is known: a restart neither takes an instance out nor forgets that it failed.
    async fn run(self, known: Option<Told>) {
        let check = &self.check.check;
        let phase = schedule::phase(&format!("{}/{}", self.id, check.name), check.interval);
        let known = known.filter(|told| told.health != Said::Unknown);
        let (mut state, mut wait) = match known {
            Some(told) => {
                let state = CheckState::inherited(told.health.health(), told.since_ms, told.output.into());
                (state, schedule::until(phase, check.interval, self.clock.now()))
            }
            None => (CheckState::unknown(self.clock.now()), Duration::ZERO),
        };
        loop {
            tokio::time::sleep(wait).await;
            let began_ms = self.clock.now().mono_ms;
            let outcome = self.execute().await;
            let now = self.clock.now();
            let before = state.health();
            let next = state.observe(&outcome, check.thresholds, now);
            if state.health() != before {
                info!(service = self.id, check = %check.name, from = %before, to = %state.health(), saw = %outcome.saw(), "check");
            }
            self.tell(&state, now.wall_ms);
            wait = schedule::delay(next, check, phase, began_ms, now);
        }
    }

    async fn execute(&self) -> Outcome {
        let check = &self.check.check;
        match &self.check.how {
            How::Probe(address) => Probes::new(Network).probe(check, *address).await,
            How::Script(command) => {
                let mut parts = self.id.splitn(3, '/');
                let mut part = || parts.next().unwrap_or_default();
                let (namespace, service, name) = (part(), part(), part());
                let variables = [
                    ("ROLLCALL_MACHINE", &*self.machine),
                    ("ROLLCALL_NAMESPACE", namespace),
                    ("ROLLCALL_SERVICE", service),
                    ("ROLLCALL_INSTANCE", name),
                    ("ROLLCALL_CHECK", &check.name),
                ];
                script::run(&check.name, command, check.timeout, &variables).await
            }
        }
    }

    /// Wakes the others only if it says something else. That it was looked at again, is noted all the same.
    fn tell(&self, state: &CheckState, at_ms: i64) {
        let evidence = state.evidence();
        let told = Told {
            health: evidence.health.into(),
            since_ms: evidence.since_ms,
            output: evidence.reason.to_string(),
            at_ms,
        };
        self.board.send_if_modified(|board| {
            let Some(held) = board.services.get_mut(&self.id) else { return false };
            let name = self.check.check.name.to_string();
            let before = held.results.insert(name, told.clone());
            before.is_none_or(|before| Told { at_ms, ..before } != told)
        });
    }
}
