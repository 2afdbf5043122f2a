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

type Awaited = HashMap<ServiceKey, HashMap<Filter, Wanted>>;

/// An answer that some wait for, and the question, which all of them share.
#[derive(Debug)]
struct Wanted {
    question: Arc<Question>,
    answer: watch::Sender<Arc<Encoded>>,
}

/// One who waits; who leaves last takes the answer along.
pub(super) struct Waiter {
    desk: Arc<Desk>,
    question: Arc<Question>,
    answer: watch::Receiver<Arc<Encoded>>,
}

// === impl Waiting ===

impl Waiting {
    /// Makes the awaited answers about a service anew.
    pub(super) fn wake(&self, key: &ServiceKey, snapshot: &Snapshot, encoder: &Encoder) {
        let awaited = self.awaited();
        let Some(answers) = awaited.get(key) else { return };
        for wanted in answers.values() {
            let answer = encoder.answer(&wanted.question, snapshot.get(key));
            wanted.answer.send_if_modified(|current| {
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
    /// From now on no change of the answer is missed.
    pub(super) fn new(desk: Arc<Desk>, question: Question) -> Self {
        let mut awaited = desk.waiting.awaited();
        let answers = awaited.entry(question.key.clone()).or_default();
        if !answers.contains_key(&question.filter) {
            // Read under the lock: what is published from now on finds this answer and makes it anew.
            let snapshot = desk.snapshots.borrow().clone();
            let service = snapshot.as_ref().and_then(|snapshot| snapshot.get(&question.key));
            let answer = watch::Sender::new(desk.encoder.answer(&question, service));
            answers.insert(question.filter.clone(), Wanted { question: Arc::new(question.clone()), answer });
        }
        let wanted = &answers[&question.filter];
        let (question, answer) = (Arc::clone(&wanted.question), wanted.answer.subscribe());
        drop(awaited);
        Self { desk, question, answer }
    }

    /// Waits until the answer is another one than `seen`, or for `at_most`; then gives it as it is.
    pub(super) async fn until_it_differs(&mut self, seen: Version, at_most: Duration) -> Arc<Encoded> {
        let differs = self.answer.wait_for(|answer| answer.version != seen);
        // An error is the end of the catalog's task, which ends with the process.
        drop(tokio::time::timeout(at_most, differs).await);
        self.answer.borrow().clone()
    }

    /// The service that is asked about.
    pub(super) fn key(&self) -> &ServiceKey {
        &self.question.key
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut awaited = self.desk.waiting.awaited();
        let Question { key, filter } = &*self.question;
        let Some(answers) = awaited.get_mut(key) else { return };
        // Only this one.
        if answers.get(filter).is_some_and(|wanted| wanted.answer.receiver_count() == 1) {
            answers.remove(filter);
        }
        if answers.is_empty() {
            awaited.remove(key);
        }
    }
}
