//! Readiness as a set of named gates.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

/// The gates of a process. It is ready when there is no closed one. Clones share the gates.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    gates: Arc<Mutex<BTreeMap<Arc<str>, State>>>,
}

/// One part of a process that must work before others may rely on the process. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    name: Arc<str>,
    readiness: Readiness,
}

/// A gate as it stood when [`Readiness::gates`] was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The gate's name.
    pub name: Arc<str>,
    /// Why it is closed; `None` when it is open.
    pub closed: Option<Arc<str>>,
    /// The name of the fault that closed it; `None` when it is open, or merely waits.
    pub fault: Option<&'static str>,
    /// What is to be known though it is open.
    pub remark: Option<Arc<str>>,
    /// How long it has been open, or closed, whatever the reasons in between.
    pub since: Duration,
}

#[derive(Debug)]
struct State {
    closed: Option<Arc<str>>,
    fault: Option<&'static str>,
    remark: Option<Arc<str>>,
    since: Instant,
}

// === impl Readiness ===

impl Readiness {
    /// The gate of that name, made on first use: closed, with the reason "not started".
    pub fn gate(&self, name: impl Into<Arc<str>>) -> Gate {
        let name = name.into();
        let fresh =
            || State { closed: Some(Arc::from("not started")), fault: None, remark: None, since: Instant::now() };
        self.lock().entry(Arc::clone(&name)).or_insert_with(fresh);
        Gate { name, readiness: self.clone() }
    }

    /// All gates, sorted by name.
    pub fn gates(&self) -> Vec<Standing> {
        let standing = |(name, state): (&Arc<str>, &State)| Standing {
            name: Arc::clone(name),
            closed: state.closed.clone(),
            fault: state.fault,
            remark: state.remark.clone(),
            since: state.since.elapsed(),
        };
        self.lock().iter().map(standing).collect()
    }

    /// The closed gates, sorted by name.
    pub fn closed(&self) -> Vec<Standing> {
        self.gates().into_iter().filter(|gate| gate.closed.is_some()).collect()
    }

    /// Whether no gate is closed.
    pub fn is_ready(&self) -> bool {
        self.lock().values().all(|state| state.closed.is_none())
    }

    /// Registers `rollcall_ready`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Gates(self.clone())));
    }

    fn set(&self, name: &str, closed: Option<Arc<str>>, fault: Option<&'static str>, remark: Option<Arc<str>>) {
        if let Some(state) = self.lock().get_mut(name) {
            if state.closed.is_some() != closed.is_some() {
                state.since = Instant::now();
            }
            state.closed = closed;
            state.fault = fault;
            state.remark = remark;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, State>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Gate ===

impl Gate {
    /// Opens the gate.
    pub fn open(&self) {
        self.readiness.set(&self.name, None, None, None);
    }

    /// Opens the gate; `/readyz` says this beside it.
    pub fn open_with(&self, remark: impl Into<String>) {
        self.readiness.set(&self.name, None, None, Some(Arc::from(remark.into())));
    }

    /// Closes the gate, or gives a closed one a new reason: what it waits for. The reason completes "not ready: NAME: ".
    pub fn close(&self, reason: impl Into<String>) {
        self.readiness.set(&self.name, Some(Arc::from(reason.into())), None, None);
    }

    /// Closes the gate for a fault that somebody has to mend. `fault` names it in CamelCase, for Events; `reason` says
    /// what is wrong and what to do.
    pub fn close_for(&self, fault: &'static str, reason: impl Into<String>) {
        self.readiness.set(&self.name, Some(Arc::from(reason.into())), Some(fault), None);
    }
}

#[derive(Debug)]
struct Gates(Readiness);

// === impl Gates ===

impl Collector for Gates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "1 while this condition of readiness (gate) is met, 0 while it is not; the process is ready when all \
                    are met, some seconds after its start. /readyz says why one is not.";
        let mut family = encoder.encode_descriptor("rollcall_ready", help, None, MetricType::Gauge)?;
        self.0.gates().into_iter().try_for_each(|gate| {
            let open = ConstGauge::new(i64::from(gate.closed.is_none()));
            open.encode(family.encode_family(&[("gate", &*gate.name)])?)
        })
    }
}

// === impl Standing ===

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.since.as_secs();
        match (&self.closed, &self.remark) {
            (Some(reason), _) => write!(f, "not ready: {}: {reason}, {seconds} s", self.name),
            (None, Some(remark)) => write!(f, "ready: {}: {remark}, {seconds} s", self.name),
            (None, None) => write!(f, "ready: {}, {seconds} s", self.name),
        }
    }
}

#[cfg(test)]
mod tests;
