//! Keeps what is waited for, and the history, in step with the catalog.

use std::sync::Arc;

use rollcall_catalog::Snapshot;
use rollcall_catalog::snapshot::Changes;

use super::Desk;
use crate::time::clock::Clock;

/// Follows until the writer is gone.
pub(super) async fn run(desk: Arc<Desk>, clock: Clock) {
    let mut snapshots = desk.snapshots.clone();
    let mut before: Option<Arc<Snapshot>> = None;
    // The first one may be there already.
    snapshots.mark_changed();
    while snapshots.changed().await.is_ok() {
        let Some(now) = snapshots.borrow_and_update().clone() else { continue };
        match &before {
            Some(before) => step(&desk, before, &now, clock.wall_ms()),
            // What is there at the start has no history.
            None => desk.waiting.wake_all(&now, &desk.encoder),
        }
        before = Some(now);
    }
}

fn step(desk: &Desk, before: &Snapshot, now: &Snapshot, now_ms: i64) {
    match now.changes_since(before.revision()) {
        Changes::Services(keys) => {
            for key in keys {
                desk.histories.observe(before.get(&key), now.get(&key), now_ms);
                desk.waiting.wake(&key, now, &desk.encoder);
            }
        }
        Changes::Resync => {
            for service in now.services() {
                let was = before.get(&service.key);
                if was.is_none_or(|was| !Arc::ptr_eq(was, service)) {
                    desk.histories.observe(was, Some(service), now_ms);
                }
            }
            for was in before.services().filter(|was| now.get(&was.key).is_none()) {
                desk.histories.observe(Some(was), None, now_ms);
            }
            desk.waiting.wake_all(now, &desk.encoder);
        }
    }
}
