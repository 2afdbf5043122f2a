//! The task that owns every check, starts probes when they are due and tells the writer the verdicts.
//!
//! Contributions of registrations pass through it, since an endpoint and its verdict have to be told together: between the
//! two, callers would lose an endpoint that they have.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rollcall_admin::LogRate;
use rollcall_catalog::input::{Contribution, Origin, OriginKind};
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;
use rollcall_catalog::{Input, ServiceKey};
use rollcall_health::beat::{self, Silence};
use rollcall_health::checks::{Account, Change, Course, Start, Step, TargetId};
use rollcall_health::confirmation::Vote;
use rollcall_health::probe::Prober;
use rollcall_health::{Checks, Lateness, Outcome, Plan};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::{Instrument, info, warn};

use super::admission::Admissions;
use super::confirmations::Confirmations;
use super::ears::Ears;
use super::lookouts::{Findings, Lookouts};
use super::metrics::Metrics;
use super::peers::Peers;
use crate::evictions::{Decided, Evictions};
use crate::kubernetes::freshness::Source;
use crate::replicas::Replicas;
use crate::time::clock::Clock;
use crate::writer::{Inbox, Message, Snapshots};

/// What the runner is sent.
#[derive(Debug)]
pub enum Order {
    /// A registration as it is now, for the catalog, and what to check of it.
    Register(Box<(Contribution, Plan)>),
    /// A registration is gone.
    Gone(Arc<Origin>),
    /// What to check of the pods of a service now; and the names of others of which an earlier process knew something.
    Pods(Box<Plan>, Vec<Name>),
    /// What an endpoint says of itself, by its heartbeat and by what its agent checks on its machine. Of one that was not
    /// registered before nothing is kept.
    Beat(Box<beat::Change>),
    /// Somebody wants to know who says what of the endpoints of a registration.
    Look {
        /// The registration.
        origin: Arc<Origin>,
        /// Where to say it.
        to: oneshot::Sender<Vec<Account>>,
    },
    /// Every registration has been sent once.
    Synced(Source),
}

/// The runner, before it runs.
pub struct Runner<P> {
    orders: mpsc::Receiver<Order>,
    inbox: Inbox,
    clock: Clock,
    metrics: Metrics,
    admissions: Admissions,
    confirmations: Confirmations,
    prober: Arc<P>,
    replicas: Replicas,
    peers: Peers,
    checks: Checks,
    lateness: Lateness,
    running: JoinSet<(TargetId, Outcome)>,
    aborts: HashMap<TargetId, AbortHandle>,
    evictions: Evictions,
    ears: Ears,
    lookouts: Lookouts,
    findings: Findings,
}

/// A few lines at once, then one in ten seconds, however many probes are concerned.
static LOCAL_FAULTS: LogRate = LogRate::new(5, Duration::from_secs(10));

/// Orders that wait at most.
const ORDERS: usize = 1024;
/// Outcomes taken in at most before verdicts are told and probes are started.
const OUTCOMES: usize = 64;

// === impl Runner ===

impl<P: Prober> Runner<P> {
    /// A runner without checks, and the way to it. At most `probes_max` probes, each of which holds a socket, are under
    /// way at a time, to what `snapshots` has.
    pub fn new(
        inbox: Inbox,
        snapshots: Snapshots,
        clock: Clock,
        (prober, probes_max): (P, usize),
        replicas: Replicas,
        metrics: Metrics,
    ) -> (Self, mpsc::Sender<Order>) {
        let (sender, orders) = mpsc::channel(ORDERS);
        let peers = Peers::new(&replicas);
        let (lookouts, findings) = Lookouts::new();
        metrics.running_max.set(i64::try_from(probes_max).unwrap_or(i64::MAX));
        let runner = Self {
            orders,
            inbox,
            clock,
            metrics,
            admissions: Admissions::new(snapshots.clone()),
            confirmations: Confirmations::new(snapshots),
            prober: Arc::new(prober),
            checks: Checks::of(peers.mine(), probes_max),
            replicas,
            peers,
            lateness: Lateness::default(),
            running: JoinSet::new(),
            aborts: HashMap::new(),
            evictions: Evictions::default(),
            ears: Ears::default(),
            lookouts,
            findings,
        };
        (runner, sender)
    }

    /// The same, telling who measures evictions of them, and who hears beats which of them are judged here.
    #[must_use]
    pub fn telling(self, evictions: Evictions, ears: Ears) -> Self {
        Self { evictions, ears, ..self }
    }

    /// The same, asking these as well.
    #[must_use]
    pub fn asking(self, (lookouts, findings): (Lookouts, Findings)) -> Self {
        Self { lookouts, findings, ..self }
    }

    /// Checks until every sender of orders is gone.
    pub async fn run(mut self) {
        loop {
            self.start().await;
            self.peers.tell(&mut self.checks);
            self.ears.tell(std::iter::from_fn(|| self.checks.take_listening()));
            let suspects_itself = self.checks.suspects_itself(self.now());
            self.replicas.suspects_itself(suspects_itself);
            if let Some(lateness) = self.lateness.news(self.now().mono_ms) {
                self.inbox.send(Message::Say(Input::Lateness(lateness))).await;
            }
            self.metrics.look(&self.checks, suspects_itself);
            let next = self.checks.next_ms().map(|ms| Duration::from_millis(ms.saturating_sub(self.now().mono_ms)));
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                Some(finished) = self.running.join_next() => {
                    self.finished(finished).await;
                    for _ in 0..OUTCOMES {
                        let Some(finished) = self.running.try_join_next() else { break };
                        self.finished(finished).await;
                    }
                }
                (id, vote) = self.findings.next() => self.checks.relayed(id, vote, self.clock.now()),
                arrival = self.peers.next() => self.peers.take_in(arrival, &mut self.checks, self.clock.now()),
                () = self.admissions.changed() => {
                    self.checks.catalog_changed(self.now());
                    self.confirmations.tell(&mut self.checks);
                }
                () = tokio::time::sleep_until(Instant::now() + next.unwrap_or_default()), if next.is_some() => {}
            }
        }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Register(registration) => {
                let (contribution, plan) = *registration;
                let origin = Arc::clone(&plan.origin);
                let replaced = self.checks.plan(plan, self.now());
                self.end(replaced.ended);
                let verdict = |(endpoint, verdict)| Input::Verdict(Arc::clone(&origin), endpoint, verdict);
                let inputs = std::iter::once(Input::Contribution(contribution))
                    .chain(replaced.verdicts.into_iter().map(verdict))
                    .collect();
                self.inbox.send(Message::Together(inputs)).await;
            }
            Order::Pods(plan, unknown) => self.pods(*plan, unknown).await,
            Order::Gone(origin) => {
                let ended = self.checks.forget(&origin);
                self.end(ended);
                self.admissions.forget(&origin);
                self.inbox.send(Message::Say(Input::Gone(origin))).await;
            }
            Order::Beat(beat) => {
                let beat::Change { origin, endpoint, evidence, machine, silence } = *beat;
                if let Some(change) = self.checks.beat(&origin, &endpoint, evidence, machine.as_deref(), self.now()) {
                    self.tell_of(change, silence).await;
                }
            }
            // Who asked may have gone.
            Order::Look { origin, to } => _ = to.send(self.checks.accounts(&origin)),
            Order::Synced(source) => self.inbox.send(Message::Synced(source)).await,
        }
    }

    /// Pods are in the catalog already; only what checks say of them is told. A plan without any ends it.
    async fn pods(&mut self, plan: Plan, unknown: Vec<Name>) {
        let (origin, service, is_empty) = (Arc::clone(&plan.origin), plan.service.clone(), plan.endpoints.is_empty());
        let replaced = self.checks.plan(plan, self.now());
        self.end(replaced.ended);
        let unknown = unknown.into_iter().map(|pod| (pod, None));
        let inputs = unknown.chain(replaced.verdicts);
        let inputs: Vec<_> = inputs.map(|(pod, said)| Input::PodVerdict(service.clone(), pod, said)).collect();
        self.inbox.send(Message::Together(inputs)).await;
        if is_empty {
            let ended = self.checks.forget(&origin);
            self.end(ended);
            self.admissions.forget(&origin);
        } else {
            self.confirmations.tell_of(&service, &mut self.checks);
        }
    }

    /// Starts what is due and may be started.
    async fn start(&mut self) {
        while let Some(step) = {
            let now = self.now();
            self.checks.next(now, &mut |candidate| self.admissions.admit(candidate))
        } {
            match step {
                Step::Start(start) => self.probe(start),
                Step::Change(change) => self.tell(change).await,
                Step::Relay(relay) => {
                    if !self.lookouts.ask(&relay) {
                        self.checks.relayed(relay.id, Vote::Abstained, self.now());
                    }
                }
            }
        }
    }

    fn probe(&mut self, Start { id, target, late, .. }: Start) {
        self.metrics.started(late);
        self.lateness.started(late);
        let prober = Arc::clone(&self.prober);
        let span = tracing::debug_span!("probe", endpoint = %target.endpoint, target = %target.address);
        let probe = async move { (id, prober.probe(&target.check, target.address).await) };
        self.aborts.insert(id, self.running.spawn(probe.instrument(span)));
    }

    /// Takes in the outcome of a probe. One that was broken off has none.
    async fn finished(&mut self, finished: Result<(TargetId, Outcome), tokio::task::JoinError>) {
        let Ok((id, outcome)) = finished else { return };
        let now = self.now();
        self.aborts.remove(&id);
        self.metrics.finished(&outcome);
        if let Outcome::LocalFault(_, saw) = &outcome
            && let Some(unsaid) = LOCAL_FAULTS.permit()
        {
            warn!(unsaid, %saw, "a probe of this replica's could not be made; the health of its target stays as it is");
        }
        if let Some(change) = self.checks.finished(id, &outcome, now) {
            self.tell(change).await;
        }
    }

    fn end(&mut self, ended: Vec<TargetId>) {
        self.metrics.ended(ended.len());
        for id in ended {
            if let Some(probe) = self.aborts.remove(&id) {
                probe.abort();
            }
        }
    }

    async fn tell(&self, change: Change) {
        self.tell_of(change, None).await;
    }

    async fn tell_of(&self, change: Change, silence: Option<Silence>) {
        let Change { origin, endpoint, verdict, before, own } = change;
        if let Some(verdict) = verdict.as_ref().filter(|verdict| own && verdict.health != before) {
            self.metrics.transition(before, verdict.health);
            info!(namespace = %origin.namespace, registration = %origin.name, %endpoint, health = %verdict.health, reason = %verdict.reason, "verdict");
        }
        if own && verdict.as_ref().is_some_and(|verdict| verdict.health == Health::Critical) && before.is_callable() {
            self.measure(&origin, &endpoint, silence);
        }
        let input = match origin.kind {
            OriginKind::Service => {
                let service = ServiceKey { namespace: Name::clone(&origin.namespace), name: Name::clone(&origin.name) };
                Input::PodVerdict(service, endpoint, verdict)
            }
            OriginKind::EndpointSlice | OriginKind::ServiceRegistration | OriginKind::Import => {
                Input::Verdict(origin, endpoint, verdict)
            }
        };
        self.inbox.send(Message::Say(input)).await;
    }

    fn measure(&self, origin: &Arc<Origin>, endpoint: &Name, silence: Option<Silence>) {
        let course = self.checks.course(origin, endpoint, silence);
        let Some(Course { service, alive_ms, failed_ms, longest }) = course else { return };
        let (origin, endpoint, decided_ms) = (Arc::clone(origin), Name::clone(endpoint), self.now().mono_ms);
        self.evictions.decided(Decided { origin, service, endpoint, alive_ms, failed_ms, decided_ms, longest });
    }
}

#[cfg(test)]
mod tests;
