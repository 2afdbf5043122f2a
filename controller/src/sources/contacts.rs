//! When each source was last answered, for the services whose policy says what is too old.
//!
//! A quiet watch is answered once a minute, by a bookmark. Where a policy looks closer than that, the API server itself is
//! asked as well: while it answers, a watch that had its bookmarks is as fresh as that answer.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use rollcall_catalog::Input;
use rollcall_catalog::policy::Staleness;

use crate::kubernetes::freshness::Freshness;
use crate::time::clock::Clock;
use crate::writer::{Inbox, Message, Snapshots};

/// What tells the catalog.
pub(super) struct Contacts {
    pub(super) sources: Vec<Arc<Freshness>>,
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) inbox: Inbox,
    pub(super) snapshots: Snapshots,
    /// The bound of services that no DiscoveryPolicy is for.
    pub(super) default: Option<Staleness>,
}

/// Between two words to the catalog, and where a policy looks closely.
const INTERVAL: Duration = Duration::from_secs(5);
const CLOSE_INTERVAL: Duration = Duration::from_secs(2);
/// The API server takes this long to answer at most; three such turns are less than the shortest bound, 10 s.
const PATIENCE: Duration = Duration::from_secs(2);
/// A bound below this needs to know more than bookmarks tell: two of them and a while.
const CLOSE: Duration = Duration::from_secs(180);
/// A watch without a bookmark for this long may be dead, whatever the API server says to others: they come each minute.
const BOOKMARK_MS: u64 = 90_000;

// === impl Contacts ===

impl Contacts {
    /// Tells the catalog when each source was last answered, for ever.
    pub(super) async fn tell(self) {
        loop {
            let is_close = self.is_close();
            tokio::time::sleep(if is_close { CLOSE_INTERVAL } else { INTERVAL }).await;
            let answered_ms = if is_close { self.ask().await } else { None };
            for source in &self.sources {
                let contact_ms = latest(source.contact_ms(), answered_ms);
                self.inbox.send(Message::Say(Input::Contact(source.id.clone(), contact_ms))).await;
            }
        }
    }

    /// Whether a policy looks closer than bookmarks come.
    fn is_close(&self) -> bool {
        let close = |bound: &Staleness| bound.after < CLOSE;
        let snapshot = self.snapshots.borrow().clone();
        self.default.as_ref().is_some_and(close)
            || snapshot.is_some_and(|snapshot| {
                let bounds = snapshot.policies().values().filter_map(|report| report.statement.staleness?);
                bounds.into_iter().any(|bound| close(&bound))
            })
    }

    /// When the API server was asked what it has answered; `None` if it has not. A refusal is an answer.
    async fn ask(&self) -> Option<u64> {
        let asked_ms = self.clock.monotonic_ms();
        match tokio::time::timeout(PATIENCE, self.client.apiserver_version()).await {
            Ok(Ok(_)) => Some(asked_ms),
            Ok(Err(kube::Error::Api(refused))) if matches!(refused.code, 401 | 403) => Some(asked_ms),
            Ok(Err(_)) | Err(_) => None,
        }
    }
}

/// When a source was last answered, by its watch and by who was asked.
fn latest(watch_ms: u64, answered_ms: Option<u64>) -> u64 {
    answered_ms.filter(|at| at.saturating_sub(watch_ms) < BOOKMARK_MS).map_or(watch_ms, |at| at.max(watch_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_watch_is_as_fresh_as_the_api_server_answers_while_it_has_its_bookmarks() {
        assert_eq!(latest(10_000, None), 10_000, "nobody was asked, or nobody answered");
        assert_eq!(latest(10_000, Some(60_000)), 60_000);
        assert_eq!(latest(60_000, Some(59_000)), 60_000, "it had word since");
        assert_eq!(latest(10_000, Some(100_000)), 10_000, "its bookmarks stay away: it may be dead");
    }
}
