//! Which objects to look at next. Each is in the queue at most once; what callers depend on goes first.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use rollcall_catalog::model::ServiceKey;

use crate::kubernetes::ObjectKey;
use crate::time::backoff::Backoff;

/// What to bring in line with the catalog. The order is the priority.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The EndpointSlices of a service: traffic depends on them.
    Slices(ServiceKey),
    /// The status of a registration: people, and a restart, depend on it.
    Status(ObjectKey),
    /// The CatalogEntry of a service.
    Entry(ServiceKey),
}

/// Targets that are due, those that are being worked on, and those that wait after a failure.
#[derive(Debug, Default)]
pub struct Queue {
    due: BTreeSet<Target>,
    busy: HashSet<Target>,
    /// Due again as soon as the work under way is done.
    again: HashSet<Target>,
    /// After a failure, by when they are due.
    waiting: BTreeSet<(u64, Target)>,
    /// What waits: news about it does not cut its pause, or a refused write would be tried as fast as news comes.
    paused: HashSet<Target>,
    backoffs: HashMap<Target, Backoff>,
}

// === impl Target ===

impl Target {
    /// The word for it in metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slices(_) => "endpointslice",
            Self::Status(_) => "status",
            Self::Entry(_) => "catalogentry",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slices(key) => write!(f, "EndpointSlices of {key}"),
            Self::Status(key) => write!(f, "status of registration {}/{}", key.namespace, key.name),
            Self::Entry(key) => write!(f, "CatalogEntry {key}"),
        }
    }
}

// === impl Queue ===

impl Queue {
    /// A target is to be looked at.
    pub fn add(&mut self, target: Target) {
        if self.busy.contains(&target) {
            self.again.insert(target);
        } else if !self.paused.contains(&target) {
            self.due.insert(target);
        }
    }

    /// The target of the highest priority, to work on. It has to come back by [`Queue::done`] or [`Queue::failed`].
    pub fn pop(&mut self, now_ms: u64) -> Option<Target> {
        while self.waiting.first().is_some_and(|(at, _)| *at <= now_ms) {
            if let Some((_, target)) = self.waiting.pop_first() {
                self.paused.remove(&target);
                self.add(target);
            }
        }
        let target = self.due.pop_first()?;
        self.busy.insert(target.clone());
        Some(target)
    }

    /// The work on a target has succeeded, or there was none.
    pub fn done(&mut self, target: Target) {
        self.backoffs.remove(&target);
        self.busy.remove(&target);
        if self.again.remove(&target) {
            self.due.insert(target);
        }
    }

    /// The work on a target has failed: it is due again after a pause.
    pub fn failed(&mut self, target: Target, now_ms: u64) {
        let fresh = || Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        let pause = self.backoffs.entry(target.clone()).or_insert_with(fresh).pause();
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.busy.remove(&target);
        self.again.remove(&target);
        self.paused.insert(target.clone());
        self.waiting.insert((now_ms.saturating_add(pause_ms), target));
    }

    /// Forgets all that waits: who is not the leader has nothing to write.
    pub fn clear(&mut self) {
        self.due.clear();
        self.again.clear();
        self.waiting.clear();
        self.paused.clear();
        self.backoffs.clear();
    }

    /// Targets that are due or wait.
    pub fn depth(&self) -> usize {
        self.due.len() + self.waiting.len() + self.again.len()
    }

    /// Whether a target is due or being worked on; one that waits after a failure is not.
    pub fn is_pending(&self, target: &Target) -> bool {
        self.due.contains(target) || self.busy.contains(target)
    }

    /// Targets being worked on.
    pub fn busy(&self) -> usize {
        self.busy.len()
    }

    /// Milliseconds until the next waiting target is due; `None` when none waits.
    pub fn next_due_ms(&self, now_ms: u64) -> Option<u64> {
        self.waiting.first().map(|(at, _)| at.saturating_sub(now_ms))
    }

    /// Whether something can be popped now.
    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices(name: &str) -> Target {
        Target::Slices(ServiceKey::new("shop", name))
    }

    fn entry(name: &str) -> Target {
        Target::Entry(ServiceKey::new("shop", name))
    }

    #[test]
    fn slices_go_before_entries_and_each_is_there_once() {
        let mut queue = Queue::default();
        for target in [entry("a"), slices("b"), entry("a"), slices("a")] {
            queue.add(target);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(0)).collect();
        assert_eq!(order, [slices("a"), slices("b"), entry("a")]);
    }

    #[test]
    fn a_target_that_is_being_worked_on_waits_and_then_is_looked_at_again() {
        let mut queue = Queue::default();
        queue.add(slices("a"));
        let target = queue.pop(0).expect("due");
        queue.add(slices("a"));
        assert_eq!(queue.pop(0), None, "never twice at once");
        queue.done(target);
        assert_eq!(queue.pop(0), Some(slices("a")));
    }

    #[test]
    fn a_failure_pauses_its_target_and_no_other() {
        let mut queue = Queue::default();
        queue.add(slices("a"));
        let target = queue.pop(0).expect("due");
        queue.failed(target, 1000);
        queue.add(slices("a"));
        queue.add(slices("b"));
        assert_eq!(queue.pop(1000), Some(slices("b")));
        assert_eq!(queue.pop(1000), None);
        assert_eq!(queue.pop(1200), Some(slices("a")));
    }
}
