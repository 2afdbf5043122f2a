//! How often streams are woken for something new: at once when nothing was new for a while, and not more often than they can keep up
//! with when something always is.
//!
//! Each publication wakes all streams. Those that are woken together are told the same (see `stream::shared`), so that what is
//! new within some milliseconds costs them all what one change does.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    select,
    sync::{Semaphore, watch},
    time::sleep,
};

use super::Snapshots;
use crate::cache::Snapshot;

/// What streams are told of, once the first has come. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Paced {
    source: Snapshots,
    told: Arc<OnceLock<Snapshots>>,
}

/// What a publication costs for each stream: it is woken, looks, writes, and reads the answer.
const PER_STREAM: Duration = Duration::from_micros(10);
/// Less is not waited for, and longer than that never.
const LEAST: Duration = Duration::from_millis(1);
const MOST: Duration = Duration::from_millis(20);

// === impl Paced ===

impl Paced {
    pub(super) fn of(source: Snapshots) -> Self {
        Self { source, told: Arc::default() }
    }

    /// For one more stream, while so many of `max` may still come. To be called in a runtime.
    pub(super) fn snapshots(&self, streams: &Arc<Semaphore>, max: usize) -> Snapshots {
        let told = self.told.get_or_init(|| {
            let (telling, told) = watch::channel(self.source.borrow().clone());
            tokio::spawn(tell(self.source.clone(), telling, Arc::clone(streams), max));
            told
        });
        told.clone()
    }
}

/// Until there is nobody to tell, or nothing to be told any more.
async fn tell(
    mut source: Snapshots,
    telling: watch::Sender<Option<Arc<Snapshot>>>,
    streams: Arc<Semaphore>,
    max: usize,
) {
    loop {
        telling.send_if_modified(|told| {
            let newest = source.borrow_and_update();
            let is_new = newest.as_ref().map(Arc::as_ptr) != told.as_ref().map(Arc::as_ptr);
            told.clone_from(&newest);
            is_new
        });
        let pause = PER_STREAM.saturating_mul(u32::try_from(max - streams.available_permits().min(max)).unwrap_or(0));
        if pause >= LEAST {
            sleep(pause.min(MOST)).await;
        }
        select! {
            changed = source.changed() => if changed.is_err() { return },
            () = telling.closed() => return,
        }
    }
}
