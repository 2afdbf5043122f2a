//! What checks decide about beats, on its way to whoever hears them: who judges which endpoint's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::Name;
use rollcall_health::beat::Ear;
use rollcall_health::checks::Listening;
use tokio::sync::Notify;

/// The newest of each endpoint that was not read yet: bounded by what is registered. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Ears(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    unread: Mutex<BTreeMap<(Arc<Origin>, Name), Ear>>,
    news: Notify,
}

// === impl Ears ===

impl Ears {
    /// Says what is done about the beats of these endpoints from now on.
    pub fn tell(&self, all: impl Iterator<Item = Listening>) {
        let mut unread = self.0.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let before = unread.len();
        for Listening { origin, endpoint, ear } in all {
            let newest = unread.entry((origin, endpoint)).or_insert(ear);
            *newest = newest.then(ear);
        }
        if unread.len() > before {
            self.0.news.notify_one();
        }
    }

    /// Waits until there is something to read, and takes it. For one reader.
    pub async fn next(&self) -> Vec<Listening> {
        loop {
            let unread = std::mem::take(&mut *self.0.unread.lock().unwrap_or_else(PoisonError::into_inner));
            if !unread.is_empty() {
                let listening = |((origin, endpoint), ear)| Listening { origin, endpoint, ear };
                return unread.into_iter().map(listening).collect();
            }
            self.0.news.notified().await;
        }
    }
}
