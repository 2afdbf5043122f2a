//! Long polls: who waits for an answer to differ is woken when that answer does, and by nothing else.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollcall_catalog::Snapshot;
use rollcall_catalog::digest::Version;
use rollcall_catalog::model::ServiceKey;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Desk;
use super::encoded::{Encoded, Encoder, Question};
use super::filter::Filter;

/// The answers that somebody waits for, by service.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    awaited: Mutex<Awaited>,
    /// How many wait, for the metric.
    pub(super) count: Arc<AtomicU64>,
}

type Awaited = HashMap<ServiceKey, HashMap<Filter, (Arc<Wanted>, Waiters)>>;

/// How many wait for an answer.
type Waiters = usize;

/// An answer that some wait for, and the question: all of them share both.
#[derive(Debug)]
struct Wanted {
    question: Question,
    answer: Mutex<Arc<Encoded>>,
    /// The answer is another one.
    differs: Notify,
}

/// One who waits; who leaves last takes the answer along. There are thousands.
pub(super) struct Waiter {
    desk: Arc<Desk>,
    wanted: Arc<Wanted>,
    seen: Version,
    until: Instant,
}

// === impl Waiting ===

impl Waiting {
    /// Makes the awaited answers about a service anew.
    pub(super) fn wake(&self, key: &ServiceKey, snapshot: &Snapshot, encoder: &Encoder) {
        let awaited = self.awaited();
        let Some(answers) = awaited.get(key) else { return };
        for (wanted, _) in answers.values() {
            wanted.replace(encoder.answer(&wanted.question, snapshot.get(key)));
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
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Wanted ===

impl Wanted {
    /// As it is.
    fn answer(&self) -> Arc<Encoded> {
        Arc::clone(&self.answer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, answer: Arc<Encoded>) {
        let version = answer.version;
        let before = std::mem::replace(&mut *self.answer.lock().unwrap_or_else(PoisonError::into_inner), answer);
        if before.version != version {
            self.differs.notify_waiters();
        }
    }
}

// === impl Waiter ===

impl Waiter {
    /// Waits until the answer is another one than `seen`, and no longer than `until`. From now on no change of the answer is missed.
    pub(super) fn new(desk: Arc<Desk>, question: Question, seen: Version, until: Instant) -> Self {
        let mut awaited = desk.waiting.awaited();
        let answers = awaited.entry(question.key.clone()).or_default();
        let (wanted, waiters) = answers.entry(question.filter.clone()).or_insert_with(|| {
            // Read under the lock: what is published from now on finds this answer and makes it anew.
            let snapshot = desk.snapshots.borrow().clone();
            let service = snapshot.as_ref().and_then(|snapshot| snapshot.get(&question.key));
            let answer = Mutex::new(desk.encoder.answer(&question, service));
            (Arc::new(Wanted { question, answer, differs: Notify::new() }), 0)
        });
        *waiters += 1;
        let wanted = Arc::clone(wanted);
        drop(awaited);
        desk.waiting.count.fetch_add(1, Relaxed);
        Self { desk, wanted, seen, until }
    }

    /// The answer as it is when the wait is over.
    pub(super) async fn answer(&self) -> Arc<Encoded> {
        loop {
            // Who was told of before the look is not missed after it.
            let differs = self.wanted.differs.notified();
            if self.wanted.answer().version != self.seen || timeout_at(self.until, differs).await.is_err() {
                return self.wanted.answer();
            }
        }
    }

    /// The service that is asked about.
    pub(super) fn key(&self) -> &ServiceKey {
        &self.wanted.question.key
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.desk.waiting.count.fetch_sub(1, Relaxed);
        let mut awaited = self.desk.waiting.awaited();
        let Question { key, filter } = &self.wanted.question;
        let Some(answers) = awaited.get_mut(key) else { return };
        if let Some((_, waiters)) = answers.get_mut(filter) {
            *waiters -= 1;
            if *waiters == 0 {
                answers.remove(filter);
            }
        }
        if answers.is_empty() {
            awaited.remove(key);
        }
    }
}
