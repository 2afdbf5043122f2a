//! The runner: one task that owns every check, starts probes when they are due and turns results into verdicts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures::StreamExt;
use rollcall_catalog::Input;
use rollcall_catalog::check::{self, CheckState, Next, Outcome};
use rollcall_catalog::input::{Origin, Verdict};
use rollcall_catalog::model::{Health, Name};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::time::{DelayQueue, delay_queue};
use tracing::{Instrument, info};

use super::plan::{Plan, Probe};
use super::probe;
use crate::time::clock::Clock;
use crate::writer::{Inbox, Message};

/// What the runner is sent.
#[derive(Debug)]
pub enum Order {
    /// Check this from now on.
    Plan(Plan),
    /// The registration is gone.
    Forget(Arc<Origin>),
}

/// Counters of the runner.
#[derive(Debug, Default)]
pub struct Tally {
    /// Probes that passed.
    pub passed: AtomicU64,
    /// Probes that failed.
    pub failed: AtomicU64,
    /// Transitions of endpoints to a callable health.
    pub recovered: AtomicU64,
    /// Transitions of endpoints to Critical.
    pub evicted: AtomicU64,
    /// Checks that are scheduled.
    pub scheduled: AtomicU64,
    /// Probes that are under way.
    pub running: AtomicU64,
}

/// The runner, before it runs.
pub struct Runner {
    orders: mpsc::Receiver<Order>,
    inbox: Inbox,
    clock: Clock,
    tally: Arc<Tally>,
    checks: HashMap<CheckId, Scheduled>,
    registrations: HashMap<Arc<Origin>, Registration>,
    due: DelayQueue<CheckId>,
    running: JoinSet<(CheckId, Outcome)>,
    next_id: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CheckId(u64);

struct Scheduled {
    origin: Arc<Origin>,
    probe: Probe,
    phase: Duration,
    state: CheckState,
    /// Its place in the queue; `None` while it runs.
    waiting: Option<delay_queue::Key>,
}

#[derive(Default)]
struct Registration {
    checks: Vec<CheckId>,
    /// The verdicts that the writer was told.
    verdicts: BTreeMap<Name, Verdict>,
}

/// Orders that wait at most.
const ORDERS: usize = 1024;
/// Probes under way at most: each holds a socket.
const RUNNING_MAX: usize = 1024;

// === impl Runner ===

impl Runner {
    /// A runner without checks, and the way to it.
    pub fn new(inbox: Inbox, clock: Clock, tally: Arc<Tally>) -> (Self, mpsc::Sender<Order>) {
        let (sender, orders) = mpsc::channel(ORDERS);
        let runner = Self {
            orders,
            inbox,
            clock,
            tally,
            checks: HashMap::new(),
            registrations: HashMap::new(),
            due: DelayQueue::new(),
            running: JoinSet::new(),
            next_id: 0,
        };
        (runner, sender)
    }

    /// Checks until every sender of orders is gone.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(Order::Plan(plan)) => self.plan(plan).await,
                    Some(Order::Forget(origin)) => self.forget(&origin),
                    None => return,
                },
                Some(finished) = self.running.join_next() => {
                    // A probe neither panics nor is aborted; should it, its check would be due again with the next plan.
                    if let Ok((id, outcome)) = finished {
                        self.finished(id, &outcome).await;
                    }
                }
                Some(due) = self.due.next(), if self.running.len() < RUNNING_MAX && !self.due.is_empty() => self.start(due.into_inner()),
            }
            self.tally.scheduled.store(self.checks.len() as u64, Relaxed);
            self.tally.running.store(self.running.len() as u64, Relaxed);
        }
    }

    /// Replaces what is checked of a registration. Checks that stay keep their state and their phase.
    async fn plan(&mut self, plan: Plan) {
        let mut registration = self.registrations.remove(&plan.origin).unwrap_or_default();
        let mut before: Vec<_> = std::mem::take(&mut registration.checks);
        // A verdict is about a machine: under another address it is another one, and has to prove itself.
        let place =
            |id: &CheckId| self.checks.get(id).map(|check| (check.probe.endpoint.clone(), check.probe.target.ip()));
        let places: HashSet<_> = before.iter().filter_map(place).collect();
        let restored: HashSet<_> = plan.restored.iter().map(|(endpoint, _)| Name::clone(endpoint)).collect();
        registration.verdicts.extend(plan.restored);
        for probe in plan.probes {
            let kept = before.iter().position(|id| self.checks.get(id).is_some_and(|check| check.probe == probe));
            let id = match kept {
                Some(at) => before.swap_remove(at),
                None => {
                    let known = restored.contains(&probe.endpoint)
                        || places.contains(&(Name::clone(&probe.endpoint), probe.target.ip()));
                    let verdict = registration.verdicts.get(&probe.endpoint).filter(|_| known);
                    self.schedule(&plan.origin, probe, verdict)
                }
            };
            registration.checks.push(id);
        }
        for id in before {
            self.cancel(id);
        }
        let origin = Arc::clone(&plan.origin);
        self.registrations.insert(Arc::clone(&origin), registration);
        self.judge(&origin).await;
    }

    /// A new check runs at once; one of an endpoint that has a verdict waits for its phase, so a restart makes no storm.
    fn schedule(&mut self, origin: &Arc<Origin>, probe: Probe, verdict: Option<&Verdict>) -> CheckId {
        let id = CheckId(self.next_id);
        self.next_id += 1;
        let phase = check::phase(&probe.id(origin), probe.check.interval);
        let (state, delay) = match verdict {
            Some(verdict) if verdict.health != Health::Unknown => {
                (CheckState::restored(verdict), self.until(phase, probe.check.interval))
            }
            _ => (CheckState::unknown(self.clock.wall_ms()), Duration::ZERO),
        };
        let waiting = Some(self.due.insert(id, delay));
        self.checks.insert(id, Scheduled { origin: Arc::clone(origin), probe, phase, state, waiting });
        id
    }

    /// From now to the next point of a phase.
    fn until(&self, phase: Duration, interval: Duration) -> Duration {
        let interval_us = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1);
        let now_us = u64::try_from(self.clock.wall_ms()).unwrap_or(0).wrapping_mul(1000);
        let phase_us = u64::try_from(phase.as_micros()).unwrap_or(0);
        let into = now_us.wrapping_add(interval_us).wrapping_sub(phase_us) % interval_us;
        Duration::from_micros(interval_us - into)
    }

    fn start(&mut self, id: CheckId) {
        let Some(scheduled) = self.checks.get_mut(&id) else { return };
        scheduled.waiting = None;
        let (check, target) = (Arc::clone(&scheduled.probe.check), scheduled.probe.target);
        let span = tracing::debug_span!("probe", endpoint = %scheduled.probe.endpoint, %target);
        self.running.spawn(async move { (id, probe::run(&check, target).await) }.instrument(span));
    }

    async fn finished(&mut self, id: CheckId, outcome: &Outcome) {
        let counter = if matches!(outcome, Outcome::Success(_)) { &self.tally.passed } else { &self.tally.failed };
        counter.fetch_add(1, Relaxed);
        let now_ms = self.clock.wall_ms();
        let Some(scheduled) = self.checks.get_mut(&id) else { return };
        let before = scheduled.state.health();
        let next = scheduled.state.observe(outcome, scheduled.probe.check.thresholds, now_ms);
        let decided = scheduled.state.health() != before;
        let (phase, interval, origin) =
            (scheduled.phase, scheduled.probe.check.interval, Arc::clone(&scheduled.origin));
        let delay = match next {
            Next::Repeat => Duration::ZERO,
            Next::Interval => self.until(phase, interval),
        };
        let waiting = self.due.insert(id, delay);
        if let Some(scheduled) = self.checks.get_mut(&id) {
            scheduled.waiting = Some(waiting);
        }
        if decided {
            self.judge(&origin).await;
        }
    }

    /// Tells the writer every verdict of a registration that is not as it was told last.
    async fn judge(&mut self, origin: &Arc<Origin>) {
        let Some(registration) = self.registrations.get_mut(origin) else { return };
        let mut states: BTreeMap<&Name, Vec<&CheckState>> = BTreeMap::new();
        for check in registration.checks.iter().filter_map(|id| self.checks.get(id)) {
            states.entry(&check.probe.endpoint).or_default().push(&check.state);
        }
        let now: BTreeMap<Name, Verdict> = states
            .into_iter()
            .filter_map(|(endpoint, states)| Some((Name::clone(endpoint), check::decide(states)?)))
            .collect();
        let gone = registration
            .verdicts
            .keys()
            .filter(|endpoint| !now.contains_key(*endpoint))
            .cloned()
            .map(|endpoint| (endpoint, None));
        let differs = |(endpoint, verdict): &(&Name, &Verdict)| registration.verdicts.get(*endpoint) != Some(*verdict);
        let changed =
            now.iter().filter(differs).map(|(endpoint, verdict)| (Name::clone(endpoint), Some(verdict.clone())));
        let told: Vec<_> = gone.chain(changed).collect();
        for (endpoint, verdict) in told {
            if let Some(verdict) = &verdict {
                self.tally.count(registration.verdicts.get(&endpoint).map(|before| before.health), verdict.health);
                info!(namespace = %origin.namespace, registration = %origin.name, %endpoint, health = %verdict.health, reason = %verdict.reason, "verdict");
            }
            self.inbox.send(Message::Say(Input::Verdict(Arc::clone(origin), endpoint, verdict))).await;
        }
        registration.verdicts = now;
    }

    fn forget(&mut self, origin: &Arc<Origin>) {
        for id in self.registrations.remove(origin).map(|registration| registration.checks).unwrap_or_default() {
            self.cancel(id);
        }
    }

    fn cancel(&mut self, id: CheckId) {
        if let Some(waiting) = self.checks.remove(&id).and_then(|check| check.waiting) {
            self.due.remove(&waiting);
        }
    }
}

// === impl Tally ===

impl Tally {
    fn count(&self, before: Option<Health>, now: Health) {
        if before == Some(now) {
            return;
        }
        if now.is_callable() {
            self.recovered.fetch_add(1, Relaxed);
        } else if now == Health::Critical {
            self.evicted.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
