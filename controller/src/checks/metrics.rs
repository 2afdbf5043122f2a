//! What is counted about checks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use rollcall_admin::Gate;
use rollcall_catalog::model::Health;
use rollcall_health::checks::Counts;
use rollcall_health::{Checks, LocalFault, Outcome};
use tracing::{info, warn};

/// Counters of the checks.
#[derive(Clone, Debug)]
pub struct Metrics {
    scheduled: Gauge,
    known: Gauge,
    /// Probes that are under way.
    pub running: Gauge,
    /// Probes that may be under way at a time.
    pub running_max: Gauge,
    probes: Family<ByResult, Counter>,
    local_faults: Family<ByFault, Counter>,
    transitions: Family<ByTarget, Counter>,
    lateness: Histogram,
    confirmations: Family<ByAnswer, Counter>,
    testimonies: Counter,
    suspects_itself: Gauge,
    gate: Gate,
    counted: Arc<Mutex<Counts>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFault {
    fault: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByAnswer {
    answer: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTarget {
    to: &'static str,
}

const CRITICAL: ByTarget = ByTarget { to: "critical" };
const CALLABLE: ByTarget = ByTarget { to: "callable" };

// === impl Metrics ===

/// What came of asking others, as it is told.
const ANSWERS: [&str; 4] = ["asked", "confirmed", "denied", "passed"];

impl Metrics {
    /// Every series is there from the start, at 0: a rate over the first one is not lost.
    pub fn new(gate: Gate) -> Self {
        gate.open();
        let metrics = Self {
            scheduled: Gauge::default(),
            known: Gauge::default(),
            running: Gauge::default(),
            running_max: Gauge::default(),
            probes: Family::default(),
            local_faults: Family::default(),
            transitions: Family::default(),
            lateness: Histogram::new([0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0]),
            confirmations: Family::default(),
            testimonies: Counter::default(),
            suspects_itself: Gauge::default(),
            gate,
            counted: Arc::default(),
        };
        for answer in ANSWERS {
            drop(metrics.confirmations.get_or_create(&ByAnswer { answer }));
        }
        for result in ["passed", "warned", "failed", "local_fault", "ended"] {
            drop(metrics.probes.get_or_create(&ByResult { result }));
        }
        for fault in LocalFault::ALL {
            drop(metrics.local_faults.get_or_create(&ByFault { fault: fault.as_str() }));
        }
        for to in [CRITICAL, CALLABLE] {
            drop(metrics.transitions.get_or_create(&to));
        }
        metrics
    }

    /// Registers all of it.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "rollcall_checks_known",
            "Probes that recur on all replicas together: checks x endpoints x addresses. The same on every replica",
            self.known.clone(),
        );
        registry.register(
            "rollcall_checks_scheduled",
            "Probes that recur on this replica: of the endpoints that it owns, and for seconds of those that it hands over. \
             Over n replicas each has about 1/n of rollcall_checks_known",
            self.scheduled.clone(),
        );
        self.register_others(registry);
        registry.register(
            "rollcall_checks_running",
            "Probes that are under way. Near rollcall_checks_running_limit the others come late",
            self.running.clone(),
        );
        registry.register(
            "rollcall_checks_running_limit",
            "Probes that may be under way at a time, by the process's limit of open files. One namespace may hold half of them",
            self.running_max.clone(),
        );
        registry.register(
            "rollcall_checks_probes",
            "Probes by result. warned ones found a target that serves and needs care (429, a certificate that ends soon); local_fault ones could not be made by this replica and say nothing about their target; \
             ended ones were broken off since their check was changed or deleted",
            self.probes.clone(),
        );
        registry.register(
            "rollcall_checks_local_faults",
            "Probes that this replica could not make, by what it lacked: no file descriptor, local port, memory or route, \
             a policy that forbids, no time to run, or a Secret that cannot be read. 0 is normal; while it rises, health is not known and stays as it is",
            self.local_faults.clone(),
        );
        registry.register(
            "rollcall_checks_transitions",
            "Endpoints that turned critical (evictions) or callable, as this replica decided it",
            self.transitions.clone(),
        );
        registry.register_with_unit(
            "rollcall_checks_lateness",
            "Time from when a probe was due to its start. Milliseconds when all is well; what is more comes on top of the \
             time to evict, and is had by those first who have many targets that do not answer",
            Unit::Seconds,
            self.lateness.clone(),
        );
    }

    fn register_others(&self, registry: &mut Registry) {
        registry.register(
            "rollcall_checks_confirmations",
            "Failures about which other replicas were asked before a passing endpoint turns critical: asked; confirmed, or \
             nobody could tell; denied, since others reach it; passed again before it was decided. Many that are denied say \
             that this replica, or its network, is what fails",
            self.confirmations.clone(),
        );
        registry.register(
            "rollcall_checks_testimonies",
            "Answers to other replicas that asked whether this one reaches an endpoint",
            self.testimonies.clone(),
        );
        registry.register(
            "rollcall_checks_self_suspicion",
            "1 while unrelated endpoints fail together on this replica, or others contradict it: others do its work, and what \
             it sees counts for nothing. 0 is normal; look at the network of its node",
            self.suspects_itself.clone(),
        );
    }

    /// Takes over what the state machine has counted.
    pub fn look(&self, checks: &Checks, suspects_itself: bool) {
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.known.set(whole(checks.len()));
        self.scheduled.set(whole(checks.own()));
        self.running.set(whole(checks.running()));
        if self.suspects_itself.set(i64::from(suspects_itself)) != i64::from(suspects_itself) {
            self.tell(suspects_itself);
        }
        let now = checks.counts();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *counted, now);
        if before == now {
            return;
        }
        let more = [
            now.asked - before.asked,
            now.convicted - before.convicted,
            now.acquitted - before.acquitted,
            now.dropped - before.dropped,
        ];
        for (answer, more) in ANSWERS.into_iter().zip(more) {
            self.confirmations.get_or_create(&ByAnswer { answer }).inc_by(more);
        }
        self.testimonies.inc_by(now.testified - before.testified);
    }

    fn tell(&self, suspects_itself: bool) {
        if suspects_itself {
            let remark = "this replica suspects itself: unrelated endpoints fail together for it, or other replicas contradict \
                          it. They do its checks; look at the network of its node";
            warn!("{remark}");
            self.gate.open_with(remark);
        } else {
            info!("this replica trusts itself again");
            self.gate.open();
        }
    }

    /// A probe begins, so late.
    pub fn started(&self, late: Duration) {
        self.lateness.observe(late.as_secs_f64());
    }

    /// A probe has an outcome.
    pub fn finished(&self, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Success(_) => "passed",
            Outcome::Warning(_) => "warned",
            Outcome::Failure(_) => "failed",
            Outcome::LocalFault(fault, _) => {
                self.local_faults.get_or_create(&ByFault { fault: fault.as_str() }).inc();
                "local_fault"
            }
        };
        self.probes.get_or_create(&ByResult { result }).inc();
    }

    /// Probes were broken off since nobody wants their result.
    pub fn ended(&self, probes: usize) {
        self.probes.get_or_create(&ByResult { result: "ended" }).inc_by(probes as u64);
    }

    /// Probes with an outcome of this kind so far.
    #[cfg(test)]
    pub(crate) fn probes(&self, result: &'static str) -> u64 {
        self.probes.get_or_create(&ByResult { result }).get()
    }

    /// An endpoint's health changed.
    pub fn transition(&self, before: Health, now: Health) {
        if before == now {
            return;
        }
        if now.is_callable() && !before.is_callable() {
            self.transitions.get_or_create(&CALLABLE).inc();
        } else if now == Health::Critical {
            self.transitions.get_or_create(&CRITICAL).inc();
        }
    }

    /// Transitions to Critical, and to a callable health.
    #[cfg(test)]
    pub(crate) fn transitions(&self) -> (u64, u64) {
        (self.transitions.get_or_create(&CRITICAL).get(), self.transitions.get_or_create(&CALLABLE).get())
    }
}
