//! The one writer: it owns the [`Catalog`], drains a bounded queue in batches and publishes snapshots.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollcall_catalog::{Catalog, Input, Snapshot};
use tokio::sync::{mpsc, watch};
use tracing::info;

use crate::sources::freshness::Source;

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
pub struct Inbox(mpsc::Sender<Message>);

/// What readers hold: `None` until every source has been listed once, since a half catalog is a wrong one.
pub type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

/// The writer, before it runs.
#[derive(Debug)]
pub struct Writer {
    messages: mpsc::Receiver<Message>,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
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
        let _ = self.0.send(message).await;
    }

    /// A way to nobody but the test that reads it.
    #[cfg(test)]
    pub(crate) fn detached() -> (Self, mpsc::Receiver<Message>) {
        let (sender, messages) = mpsc::channel(QUEUE);
        (Self(sender), messages)
    }

    /// Messages that wait.
    pub fn depth(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }
}

// === impl Writer ===

impl Writer {
    /// A writer with an empty catalog, the way to it, and what it will publish.
    pub fn new() -> (Self, Inbox, Snapshots) {
        let (sender, messages) = mpsc::channel(QUEUE);
        let (snapshots, receiver) = watch::channel(None);
        let unsynced = Source::CATALOG.into_iter().collect();
        (Self { messages, snapshots, catalog: Catalog::default(), unsynced }, Inbox(sender), receiver)
    }

    /// Takes in and publishes until every sender is gone.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.messages.recv_many(&mut batch, BATCH).await > 0 {
            let was_synced = self.unsynced.is_empty();
            for message in batch.drain(..) {
                match message {
                    Message::Say(input) => self.catalog.apply(input),
                    Message::Synced(source) => {
                        self.unsynced.remove(&source);
                    }
                }
            }
            if self.unsynced.is_empty() {
                self.publish(was_synced);
            }
        }
    }

    fn publish(&mut self, was_synced: bool) {
        let published = self.catalog.publish();
        let snapshot = match published {
            Some(snapshot) => snapshot,
            // An empty cluster is a complete catalog too, and has to be told once.
            None if !was_synced => self.catalog.snapshot(),
            None => return,
        };
        if !was_synced {
            info!(
                services = snapshot.len(),
                endpoints = snapshot.totals().endpoints,
                "every source is synced; serving"
            );
        }
        self.snapshots.send_replace(Some(snapshot));
    }
}
