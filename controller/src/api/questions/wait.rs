//! Long polls: who waits for an answer to differ is woken when that answer does, and by nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rollcall_catalog::Snapshot;
use rollcall_catalog::digest::Version;
use rollcall_catalog::model::ServiceKey;
use tokio::sync::watch;

use super::Desk;
use super::encoded::{Encoded, Encoder, Question};
use super::filter::Filter;

/// The answers that somebody waits for, by service.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Awaited>);

type Awaited = HashMap<ServiceKey, HashMap<Filter, watch::Sender<Arc<Encoded>>>>;

/// One who waits; who leaves last takes the answer along.
struct Waiter {
    desk: Arc<Desk>,
    question: Arc<Question>,
    answer: watch::Receiver<Arc<Encoded>>,
}

/// Waits until the answer is another one than `seen`, or for `at_most`; then gives it as it is.
pub(super) async fn wait(desk: Arc<Desk>, question: Question, seen: Version, at_most: Duration) -> Arc<Encoded> {
    let mut waiter = Waiter::new(desk, question);
    let differs = waiter.answer.wait_for(|answer| answer.version != seen);
    // An error is the end of the catalog's task, which ends with the process.
    drop(tokio::time::timeout(at_most, differs).await);
    waiter.answer.borrow().clone()
}

// === impl Waiting ===

impl Waiting {
    /// Makes the awaited answers about a service anew.
    pub(super) fn wake(&self, key: &ServiceKey, snapshot: &Snapshot, encoder: &Encoder) {
        let mut awaited = self.awaited();
        let Some(answers) = awaited.get_mut(key) else { return };
        for (filter, sender) in answers {
            let question = Question { key: key.clone(), filter: filter.clone() };
            let answer = encoder.answer(&question, snapshot.get(key));
            sender.send_if_modified(|current| {
                let differs = current.version != answer.version;
                *current = answer;
                differs
            });
        }
    }

    /// The same for every service that somebody waits for.
    pub(super) fn wake_all(&self, snapshot: &Snapshot, encoder: &Encoder) {
        let keys: Vec<_> = self.awaited().keys().cloned().collect();
        keys.iter().for_each(|key| self.wake(key, snapshot, encoder));
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.awaited().is_empty()
    }

    fn awaited(&self) -> MutexGuard<'_, Awaited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Waiter ===

impl Waiter {
    fn new(desk: Arc<Desk>, question: Question) -> Self {
        let mut awaited = desk.waiting.awaited();
        let answers = awaited.entry(question.key.clone()).or_default();
        // Read under the lock: what is published from now on finds this answer and makes it anew.
        let now = || {
            let snapshot = desk.snapshots.borrow().clone();
            let service = snapshot.as_ref().and_then(|snapshot| snapshot.get(&question.key));
            watch::Sender::new(desk.encoder.answer(&question, service))
        };
        let sender = answers.entry(question.filter.clone()).or_insert_with(now);
        let answer = sender.subscribe();
        drop(awaited);
        Self { desk, question: Arc::new(question), answer }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut awaited = self.desk.waiting.awaited();
        let Question { key, filter } = &*self.question;
        let Some(answers) = awaited.get_mut(key) else { return };
        // Only this one.
        if answers.get(filter).is_some_and(|sender| sender.receiver_count() == 1) {
            answers.remove(filter);
        }
        if answers.is_empty() {
            awaited.remove(key);
        }
    }
}
