//! What is measured about agents.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, Page, count, read};

use super::desk::Outcome;

/// Counters of the room.
#[derive(Debug, Default)]
pub struct Metrics {
    connected: AtomicU64,
    instances: AtomicU64,
    waiting: AtomicU64,
    beats: AtomicU64,
    results: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    writes: [AtomicU64; 4],
}

/// Why an agent, or an instance of it, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room for another agent.
    Full,
    /// Nobody knows who it is.
    Unauthenticated,
    /// Who it is may not register there.
    Forbidden,
    /// What it says cannot be used.
    Unusable,
    /// Another agent has the same endpoint.
    Claimed,
}

/// One agent that is connected.
#[derive(Debug)]
pub struct Connected(Arc<Metrics>);

// === impl Refusal ===

impl Refusal {
    /// Each of them, in the order of the type.
    pub const ALL: [Self; 5] = [Self::Full, Self::Unauthenticated, Self::Forbidden, Self::Unusable, Self::Claimed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Unusable => "unusable",
            Self::Claimed => "claimed",
        }
    }
}

// === impl Connected ===

impl Connected {
    /// Counts one more, until it is dropped.
    pub fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.connected.fetch_add(1, Relaxed);
        Self(Arc::clone(metrics))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connected.fetch_sub(1, Relaxed);
    }
}

// === impl Metrics ===

impl Metrics {
    /// Something was refused.
    pub fn refused(&self, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    /// So many instances were said to live.
    pub fn beats(&self, instances: usize) {
        self.beats.fetch_add(instances as u64, Relaxed);
    }

    /// So many results of checks on machines came.
    pub fn results(&self, results: usize) {
        self.results.fetch_add(results as u64, Relaxed);
    }

    /// A write was made, or not.
    pub fn wrote(&self, outcome: &Outcome) {
        let at = match outcome {
            Outcome::Written(_) => 0,
            Outcome::Conflict => 1,
            Outcome::Refused(_) => 2,
            Outcome::Unreachable(_) => 3,
        };
        self.writes[at].fetch_add(1, Relaxed);
    }

    /// How many instances agents of this replica want, and how many of those are not as they should be yet.
    pub fn set_instances(&self, wanted: usize, waiting: usize) {
        self.instances.store(wanted as u64, Relaxed);
        self.waiting.store(waiting as u64, Relaxed);
    }

    /// Registers `rollcall_agents_…`.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        let metrics = Arc::clone(self);
        page::register(registry, move |page| metrics.write(page));
    }

    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge("rollcall_agents_connected", "Agents whose stream to this replica is open.", read(&self.connected))?;
        page.gauge(
            "rollcall_agents_instances",
            "Instances that the agents of this replica register.",
            read(&self.instances),
        )?;
        page.gauge(
            "rollcall_agents_instances_waiting",
            "Those of them whose registration is not as it should be yet. 0 but for moments; it stays while the API server is away.",
            read(&self.waiting),
        )?;
        let refused = Refusal::ALL.map(|why| ([("reason", why.as_str())], count(&self.refused[why as usize])));
        page.counters(
            "rollcall_agents_refused",
            "Agents and instances that were refused, by reason. Normally 0; the agent's status has the sentence.",
            refused,
        )?;
        page.counters("rollcall_agents_beats", "Beats of instances that agents brought.", [([], count(&self.beats))])?;
        page.counters(
            "rollcall_agents_results",
            "Results of checks on machines that agents brought: one for each change.",
            [([], count(&self.results))],
        )?;
        let results = ["written", "conflict", "refused", "unreachable"].into_iter().zip(&self.writes);
        page.counters(
            "rollcall_agents_writes",
            "Registrations written for agents, by result. A conflict is another replica's write in between, and is tried again.",
            results.map(|(result, counter)| ([("result", result)], count(counter))),
        )
    }
}
