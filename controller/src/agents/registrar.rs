//! The task that writes what agents register, within a budget, and tells them what came of it: the loop around [`Desk`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use rollcall_admin::LogRate;
use rollcall_crds::ServiceRegistration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::desk::{Desk, Outcome, Seat, Write};
use super::instance::{Instance, InstanceKey};
use super::metrics::Metrics;
use super::outbox::Outbox;
use super::shard::{FIELD_MANAGER, Shard};
use crate::kubernetes::ObjectKey;
use crate::kubernetes::denial::Denial;
use crate::kubernetes::kube_error;

use crate::time::clock::Clock;
use crate::time::random;
use crate::writeback::budget::Budget;
use crate::writer::Snapshots;

/// What the registrar is told.
#[derive(Debug)]
pub enum Message {
    /// A registration as it stands; `None` when it is gone, or is none of agents'.
    Seen(ObjectKey, Option<Box<Shard>>),
    /// An agent's stream has begun.
    Begun(u64, Arc<Outbox>),
    /// An agent wants this to stand.
    Want(Seat, Arc<Instance>),
    /// An agent takes this out.
    Leave(Seat, InstanceKey),
    /// An agent does not answer for this any more, and says nothing about it.
    Forget(Seat, InstanceKey),
    /// An agent's stream has ended.
    Ended(u64),
}

/// The way of the watches to the registrar.
#[derive(Clone, Debug)]
pub struct Watched(mpsc::Sender<Message>);

/// The task.
pub struct Registrar {
    pub(super) messages: mpsc::Receiver<Message>,
    pub(super) client: Client,
    pub(super) snapshots: Snapshots,
    pub(super) clock: Clock,
    pub(super) budget: Budget,
    pub(super) metrics: Arc<Metrics>,
    outboxes: HashMap<u64, Arc<Outbox>>,
    desk: Desk,
    writes: JoinSet<(Write, Outcome)>,
}

/// Messages that wait at most.
pub(super) const QUEUE: usize = 8192;
/// Messages taken in at most before something is written.
const BATCH: usize = 1024;
/// Objects written at a time.
const WRITES_AT_ONCE: usize = 16;
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Lines about writes that were not made: a quota or a webhook meets all objects of a namespace.
static UNWRITTEN: LogRate = LogRate::new(5, Duration::from_secs(10));

// === impl Watched ===

impl Watched {
    /// A registration as it stands.
    pub async fn apply(&self, registration: &ServiceRegistration) {
        let shard = Shard::read(registration).map(Box::new);
        // Fails during shutdown only.
        let _ = self.0.send(Message::Seen(ObjectKey::of(&registration.metadata), shard)).await;
    }

    /// A registration is gone.
    pub async fn delete(&self, key: &ObjectKey) {
        let _ = self.0.send(Message::Seen(key.clone(), None)).await;
    }
}

// === impl Registrar ===

impl Registrar {
    /// A registrar, the ways to it, and what it may write: `writes_per_second` on average, twice that at once.
    pub fn new(
        client: Client,
        snapshots: Snapshots,
        clock: Clock,
        writes_per_second: u32,
        metrics: Arc<Metrics>,
    ) -> (Self, mpsc::Sender<Message>, Watched) {
        let (sender, messages) = mpsc::channel(QUEUE);
        let registrar = Self {
            messages,
            client,
            snapshots,
            clock,
            budget: Budget::new(writes_per_second),
            metrics,
            outboxes: HashMap::new(),
            desk: Desk::new((random::fraction() * u32::MAX as f64) as u64),
            writes: JoinSet::new(),
        };
        (registrar, sender.clone(), Watched(sender))
    }

    /// Writes until every sender of messages is gone.
    pub async fn run(mut self) {
        let mut is_synced = false;
        let mut published = self.snapshots.clone();
        loop {
            let wait = if is_synced { self.begin_writes() } else { None };
            self.tell();
            let until = wait.map(|wait| Instant::now() + Duration::from_millis(wait));
            tokio::select! {
                message = self.messages.recv() => {
                    let Some(message) = message else { return };
                    self.take_in(message);
                    for _ in 0..BATCH {
                        let Ok(message) = self.messages.try_recv() else { break };
                        self.take_in(message);
                    }
                }
                Some(done) = self.writes.join_next() => {
                    // A task that was broken off has no outcome; none is.
                    if let Ok((write, outcome)) = done {
                        self.done(&write, outcome);
                    }
                }
                // Nothing is written before all that stands was seen: what seems to be missing may be there.
                first = published.wait_for(Option::is_some), if !is_synced => match first {
                    Ok(_) => is_synced = true,
                    Err(_) => return,
                },
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            }
        }
    }

    fn take_in(&mut self, message: Message) {
        match message {
            Message::Seen(key, shard) => self.desk.seen(&key, shard.map(|shard| *shard)),
            Message::Begun(session, outbox) => drop(self.outboxes.insert(session, outbox)),
            Message::Want(seat, instance) => self.desk.want(seat, instance),
            Message::Leave(seat, key) => self.desk.leave(seat, &key),
            Message::Forget(seat, key) => self.desk.forget(seat, &key),
            Message::Ended(session) => drop(self.outboxes.remove(&session)),
        }
    }

    /// Begins what may be; how many milliseconds to wait for the next.
    fn begin_writes(&mut self) -> Option<u64> {
        let now_ms = self.clock.monotonic_ms();
        while self.writes.len() < WRITES_AT_ONCE {
            if !self.budget.has_token(now_ms) {
                return Some(self.budget.wait_ms().max(1));
            }
            let Some(write) = self.desk.next(now_ms) else {
                return self.desk.next_ms().map(|at| at.saturating_sub(now_ms).max(1));
            };
            self.budget.spend(1);
            let client = self.client.clone();
            self.writes.spawn(async move {
                let outcome = carry_out(client, &write).await;
                (write, outcome)
            });
        }
        None
    }

    fn done(&mut self, write: &Write, outcome: Outcome) {
        let ObjectKey { namespace, name } = &write.key;
        match &outcome {
            Outcome::Written(_) => debug!(%namespace, %name, endpoints = write.keys.len(), "registered for agents"),
            Outcome::Conflict => {}
            Outcome::Refused(words) | Outcome::Unreachable(words) => {
                if let Some(unsaid) = UNWRITTEN.permit() {
                    let endpoints = write.keys.len();
                    warn!(%namespace, %name, endpoints, words, unsaid, "a registration of agents was not written");
                }
            }
        }
        self.metrics.wrote(&outcome);
        self.desk.done(write, outcome, self.clock.monotonic_ms());
    }

    fn tell(&mut self) {
        for news in self.desk.take_news() {
            if let Some(outbox) = self.outboxes.get(&news.seat.session) {
                outbox.put(news);
            }
        }
        self.metrics.set_instances(self.desk.wanted(), self.desk.waiting());
    }
}

async fn carry_out(client: Client, write: &Write) -> Outcome {
    let api: Api<ServiceRegistration> = Api::namespaced(client, &write.key.namespace);
    let (name, is_end) = (&*write.key.name, write.shard.endpoints.is_empty());
    let written = async {
        if is_end {
            let (version, uid) = (write.shard.version.clone(), write.shard.uid.clone());
            let preconditions = Some(Preconditions { resource_version: Some(version), uid: Some(uid) });
            let params = DeleteParams { preconditions, ..DeleteParams::default() };
            return api.delete(name, &params).await.map(|_| None);
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let written = api.patch(name, &params, &Patch::Apply(write.shard.object(&write.key))).await?;
        Ok(Shard::read(&written))
    };
    match timeout(WRITE_TIMEOUT, written).await {
        Ok(Ok(shard)) => Outcome::Written(shard),
        Ok(Err(error)) => outcome(&error, is_end),
        Err(_) => Outcome::Unreachable(format!("it gave no answer within {WRITE_TIMEOUT:?}")),
    }
}

fn outcome(error: &kube::Error, is_end: bool) -> Outcome {
    let words = kube_error::words(error);
    match error {
        kube::Error::Api(status) if status.code == 404 && is_end => Outcome::Written(None),
        kube::Error::Api(status) if status.code == 409 => Outcome::Conflict,
        // What this replica may not do is no fault of what is registered.
        _ if Denial::of(error).is_some() => Outcome::Unreachable(words),
        kube::Error::Api(status) if (400..500).contains(&status.code) && !matches!(status.code, 401 | 408 | 429) => {
            Outcome::Refused(words)
        }
        _ => Outcome::Unreachable(words),
    }
}
