//! The one writer: it owns the [`Catalog`], drains a bounded queue in batches and publishes snapshots.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollcall_catalog::{Catalog, Input, Snapshot};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{Span, field, info, info_span};

use crate::kubernetes::freshness::Source;
use propagation::Propagation;

pub mod metrics;
pub mod propagation;

/// What the writer is sent.
#[derive(Debug)]
pub enum Message {
    /// A statement for the catalog.
    Say(Input),
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
}

/// Statements that wait at most. A statement is small; this is some megabytes.
const QUEUE: usize = 8192;
/// Statements merged and published together at most: a burst costs fewer merges, and no reader waits long.
const BATCH: usize = 1024;

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
    pub fn new(sources: BTreeSet<Source>) -> (Self, Inbox, Snapshots) {
        let (sender, messages) = mpsc::channel(QUEUE);
        let (snapshots, receiver) = watch::channel(None);
        let catalog = Catalog::default();
        let propagation = Arc::default();
        (Self { messages, snapshots, propagation, catalog, unsynced: sources }, Inbox(sender), receiver)
    }

    /// Where it is measured how long changes take.
    pub fn propagation(&self) -> Arc<Propagation> {
        Arc::clone(&self.propagation)
    }

    /// Takes in and publishes until every sender is gone.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.messages.recv_many(&mut batch, BATCH).await > 0 {
            let was_synced = self.unsynced.is_empty();
            let span = info_span!("batch", statements = batch.len(), revision = field::Empty).entered();
            let oldest = batch.first().map(|Arrived(at, _)| *at).filter(|_| was_synced);
            for Arrived(_, message) in batch.drain(..) {
                match message {
                    Message::Say(input) => self.catalog.apply(input),
                    Message::Synced(source) => {
                        self.unsynced.remove(&source);
                    }
                }
            }
            if self.unsynced.is_empty() {
                self.publish(oldest, &span);
            }
        }
    }

    /// Publishes what changed. The first time, when there is no `oldest` statement to measure by, in any case.
    fn publish(&mut self, oldest: Option<Instant>, span: &Span) {
        let published = self.catalog.publish();
        let snapshot = match published {
            Some(snapshot) => snapshot,
            // An empty cluster is a complete catalog too, and has to be told once.
            None if oldest.is_none() => self.catalog.snapshot(),
            None => return,
        };
        span.record("revision", snapshot.revision().0);
        match oldest {
            Some(arrived) => self.propagation.published(snapshot.revision(), arrived),
            None => info!(
                services = snapshot.len(),
                endpoints = snapshot.totals().endpoints,
                "every source is synced; serving"
            ),
        }
        self.snapshots.send_replace(Some(snapshot));
    }
}
