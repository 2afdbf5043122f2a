//! The one writer: it owns the [`Catalog`], drains a bounded queue in batches and publishes snapshots.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rollcall_catalog::{Catalog, Input, Snapshot};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{Span, field, info, info_span};

use crate::kubernetes::freshness::Source;
use crate::time::clock::Clock;
use by_service::ServiceMetricsArgs;
use propagation::Propagation;

pub mod by_service;
pub mod metrics;
pub mod propagation;

/// What the writer is sent.
#[derive(Debug)]
pub enum Message {
    /// A statement for the catalog.
    Say(Input),
    /// Statements that no reader may see apart.
    Together(Vec<Input>),
    /// Every object of a source has been handed over once.
    Synced(Source),
}

/// Where statements go. Bounded: who sends faster than the writer takes in waits.
#[derive(Clone, Debug)]
pub struct Inbox(mpsc::Sender<Arrived>);

/// A message, and when it came.
#[derive(Debug)]
struct Arrived(Instant, Message);

/// What readers hold: `None` until every source has been listed once, since a half catalog is a wrong one.
pub type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

/// The writer, before it runs.
#[derive(Debug)]
pub struct Writer {
    messages: mpsc::Receiver<Arrived>,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    propagation: Arc<Propagation>,
    catalog: Catalog,
    unsynced: BTreeSet<Source>,
    clock: Clock,
    /// When the catalog wants to publish even if nothing is said, in milliseconds of the clock.
    again_ms: Option<u64>,
}

/// What a publication is for.
#[derive(Clone, Copy, Debug)]
enum Occasion {
    /// Every source is synced: the first.
    Synced,
    /// Statements, the oldest of which arrived then.
    Said(Instant),
    /// The catalog asked for it.
    Due,
}

/// Statements that wait at most. A statement is small; this is some megabytes.
const QUEUE: usize = 8192;
/// Statements merged and published together at most: a burst costs fewer merges, and no reader waits long.
const BATCH: usize = 1024;

/// Starts the writer of a catalog that is complete once each of `sources` is synced.
pub fn start(
    sources: BTreeSet<Source>,
    by_service: &ServiceMetricsArgs,
    clock: Clock,
    registry: &mut Registry,
) -> (Inbox, Snapshots, Arc<Propagation>) {
    let (writer, inbox, snapshots) = Writer::new(sources, clock);
    by_service::register(by_service, snapshots.clone(), registry);
    metrics::Metrics { snapshots: snapshots.clone(), inbox: inbox.clone() }.register(registry);
    let propagation = writer.propagation();
    propagation.register(registry);
    tokio::spawn(writer.run());
    (inbox, snapshots, propagation)
}

// === impl Inbox ===

impl Inbox {
    /// Sends, waiting for room. During shutdown, when nobody listens any more, the message is dropped.
    pub async fn send(&self, message: Message) {
        let _ = self.0.send(Arrived(Instant::now(), message)).await;
    }

    /// A way to nobody but the test that reads it.
    #[cfg(test)]
    pub(crate) fn detached() -> (Self, Detached) {
        let (sender, messages) = mpsc::channel(QUEUE);
        (Self(sender), Detached(messages))
    }

    /// Messages that wait.
    pub fn depth(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }
}

/// What a test reads instead of the writer.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Detached(mpsc::Receiver<Arrived>);

// === impl Detached ===

#[cfg(test)]
impl Detached {
    pub(crate) async fn recv(&mut self) -> Option<Message> {
        self.0.recv().await.map(|Arrived(_, message)| message)
    }

    pub(crate) fn try_recv(&mut self) -> Result<Message, mpsc::error::TryRecvError> {
        self.0.try_recv().map(|Arrived(_, message)| message)
    }
}

// === impl Writer ===

impl Writer {
    /// A writer with an empty catalog, the way to it, and what it will publish once each of `sources` is synced.
    pub fn new(sources: BTreeSet<Source>, clock: Clock) -> (Self, Inbox, Snapshots) {
        let (sender, messages) = mpsc::channel(QUEUE);
        let (snapshots, receiver) = watch::channel(None);
        let catalog = Catalog::default();
        let propagation = Arc::default();
        let writer = Self { messages, snapshots, propagation, catalog, unsynced: sources, clock, again_ms: None };
        (writer, Inbox(sender), receiver)
    }

    /// Where it is measured how long changes take.
    pub fn propagation(&self) -> Arc<Propagation> {
        Arc::clone(&self.propagation)
    }

    /// Takes in and publishes until every sender is gone.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            match self.receive(&mut batch).await {
                Some(0) => return,
                Some(_) => self.take_in(&mut batch),
                None => {
                    let span = info_span!("due", revision = field::Empty).entered();
                    self.publish(Occasion::Due, &span);
                }
            }
        }
    }

    /// How many messages came, 0 when every sender is gone; `None` when the catalog's time came first.
    async fn receive(&mut self, batch: &mut Vec<Arrived>) -> Option<usize> {
        let more = self.messages.recv_many(batch, BATCH);
        match self.again_ms {
            None => Some(more.await),
            Some(again_ms) => {
                let pause = Duration::from_millis(again_ms.saturating_sub(self.clock.monotonic_ms()));
                tokio::time::timeout(pause, more).await.ok()
            }
        }
    }

    fn take_in(&mut self, batch: &mut Vec<Arrived>) {
        let was_synced = self.unsynced.is_empty();
        let span = info_span!("batch", statements = batch.len(), revision = field::Empty).entered();
        let occasion = match batch.first() {
            Some(Arrived(at, _)) if was_synced => Occasion::Said(*at),
            _ => Occasion::Synced,
        };
        for Arrived(_, message) in batch.drain(..) {
            match message {
                Message::Say(input) => self.catalog.apply(input),
                Message::Together(inputs) => inputs.into_iter().for_each(|input| self.catalog.apply(input)),
                Message::Synced(source) => {
                    self.unsynced.remove(&source);
                }
            }
        }
        if self.unsynced.is_empty() {
            self.publish(occasion, &span);
        }
    }

    /// Publishes what changed; the first time in any case.
    fn publish(&mut self, occasion: Occasion, span: &Span) {
        let now = self.clock.now();
        let published = self.catalog.publish(now);
        self.again_ms = published.again_ms;
        let snapshot = match (published.snapshot, occasion) {
            (Some(snapshot), _) => snapshot,
            // An empty cluster is a complete catalog too, and has to be told once.
            (None, Occasion::Synced) => self.catalog.snapshot(),
            (None, Occasion::Said(_) | Occasion::Due) => return,
        };
        span.record("revision", snapshot.revision().0);
        match occasion {
            Occasion::Said(arrived) => self.propagation.published(snapshot.revision(), arrived),
            Occasion::Due => {}
            Occasion::Synced => info!(
                services = snapshot.len(),
                endpoints = snapshot.totals().endpoints,
                "every source is synced; serving"
            ),
        }
        self.snapshots.send_replace(Some(snapshot));
    }
}

#[cfg(test)]
mod tests;
