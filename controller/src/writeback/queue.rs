//! Which objects to look at next. Each is in the queue at most once; after a failure it pauses.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use rollcall_catalog::model::{Name, ServiceKey};

use super::fair::{Fair, ROOM};
use crate::kubernetes::ObjectKey;
use crate::time::backoff::Backoff;

/// What to bring in line with the catalog.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The EndpointSlices of a service: traffic depends on them.
    Slices(ServiceKey),
    /// The status of a registration: people, and a restart, depend on it.
    Status(ObjectKey),
    /// The CatalogEntry of a service.
    Entry(ServiceKey),
    /// The status of a DiscoveryPolicy.
    Policy(ObjectKey),
}

/// Targets that are due, those that are being worked on, and those that wait.
#[derive(Debug, Default)]
pub struct Queue {
    due: Fair,
    busy: HashSet<Target>,
    /// Due again as soon as the work under way is done.
    again: HashSet<Target>,
    /// By when they are due: after a failure, or because a write is held until then.
    waiting: BTreeSet<(u64, Target)>,
    waits: HashMap<Target, Wait>,
    backoffs: HashMap<Target, Backoff>,
    /// Since when a target has been due or failing.
    since: HashMap<Target, u64>,
    ages: BTreeSet<(u64, Target)>,
}

/// Until when a target waits.
#[derive(Clone, Copy, Debug)]
struct Wait {
    until_ms: u64,
    /// After a failure: news about it does not cut its pause, or a write that fails would be tried as fast as news comes.
    failed: bool,
}

// === impl Target ===

impl Target {
    /// The word for it in metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slices(_) => "endpointslice",
            Self::Status(_) => "status",
            Self::Entry(_) => "catalogentry",
            Self::Policy(_) => "policystatus",
        }
    }

    /// Where it is written.
    pub fn namespace(&self) -> &Name {
        match self {
            Self::Slices(key) | Self::Entry(key) => &key.namespace,
            Self::Status(key) | Self::Policy(key) => &key.namespace,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slices(key) => write!(f, "EndpointSlices of {key}"),
            Self::Status(key) => write!(f, "status of registration {}/{}", key.namespace, key.name),
            Self::Entry(key) => write!(f, "CatalogEntry {key}"),
            Self::Policy(key) => write!(f, "status of policy {}/{}", key.namespace, key.name),
        }
    }
}

// === impl Queue ===

impl Queue {
    /// A target is to be looked at.
    pub fn add(&mut self, target: Target, now_ms: u64) {
        if self.busy.contains(&target) {
            self.again.insert(target);
            return;
        }
        match self.waits.get(&target) {
            Some(wait) if wait.failed => return,
            Some(_) => self.end_wait(&target),
            None => {}
        }
        if !self.since.contains_key(&target) {
            self.since.insert(target.clone(), now_ms);
            self.ages.insert((now_ms, target.clone()));
        }
        self.due.push(target);
    }

    /// The target whose turn it is, to work on. It has to come back by [`Queue::done`] or [`Queue::failed`].
    pub fn pop(&mut self, now_ms: u64) -> Option<Target> {
        while let Some((at, target)) = self.waiting.first().cloned().filter(|(at, _)| *at <= now_ms) {
            self.end_wait(&target);
            self.add(target, at);
        }
        let target = self.due.pop()?;
        self.busy.insert(target.clone());
        Some(target)
    }

    /// The work on a target has succeeded, or there was none.
    pub fn done(&mut self, target: Target, now_ms: u64) {
        self.backoffs.remove(&target);
        self.busy.remove(&target);
        self.forget_age(&target);
        if self.again.remove(&target) {
            self.add(target, now_ms);
        }
    }

    /// The work on a target is done but for writes that are held until then. News about it comes first.
    pub fn later(&mut self, target: Target, until_ms: u64, now_ms: u64) {
        self.done(target.clone(), now_ms);
        if !self.due.contains(&target) {
            self.wait(target, Wait { until_ms, failed: false });
        }
    }

    /// The work on a target has failed: it is due again after a pause.
    pub fn failed(&mut self, target: Target, now_ms: u64) {
        let fresh = || Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        let pause = self.backoffs.entry(target.clone()).or_insert_with(fresh).pause();
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.busy.remove(&target);
        self.again.remove(&target);
        self.wait(target, Wait { until_ms: now_ms.saturating_add(pause_ms), failed: true });
    }

    /// Forgets all that waits: who is not the leader has nothing to write.
    pub fn clear(&mut self) {
        *self = Self { busy: std::mem::take(&mut self.busy), ..Self::default() };
    }

    /// Targets that are due, or wait after a failure.
    pub fn depth(&self) -> usize {
        let failed = self.waits.values().filter(|wait| wait.failed).count();
        self.due.len() + failed + self.again.len()
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

    /// For how many milliseconds the oldest change has been waiting to be written; 0 when none is.
    pub fn oldest_ms(&self, now_ms: u64) -> u64 {
        self.ages.first().map_or(0, |(since, _)| now_ms.saturating_sub(*since))
    }

    fn wait(&mut self, target: Target, wait: Wait) {
        self.waiting.insert((wait.until_ms, target.clone()));
        self.waits.insert(target, wait);
    }

    fn end_wait(&mut self, target: &Target) {
        if let Some(wait) = self.waits.remove(target) {
            self.waiting.remove(&(wait.until_ms, target.clone()));
        }
    }

    fn forget_age(&mut self, target: &Target) {
        if let Some(since) = self.since.remove(target) {
            self.ages.remove(&(since, target.clone()));
        }
        if self.since.is_empty() {
            self.since.shrink_to(ROOM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices(name: &str) -> Target {
        Target::Slices(ServiceKey::new("shop", name))
    }

    #[test]
    fn a_target_that_is_being_worked_on_waits_and_then_is_looked_at_again() {
        let mut queue = Queue::default();
        queue.add(slices("a"), 0);
        let target = queue.pop(0).expect("due");
        queue.add(slices("a"), 0);
        assert_eq!(queue.pop(0), None, "never twice at once");
        queue.done(target, 0);
        assert_eq!(queue.pop(0), Some(slices("a")));
    }

    #[test]
    fn a_failure_pauses_its_target_and_no_other() {
        let mut queue = Queue::default();
        queue.add(slices("a"), 0);
        let target = queue.pop(0).expect("due");
        queue.failed(target, 1000);
        queue.add(slices("a"), 1000);
        queue.add(slices("b"), 1000);
        assert_eq!(queue.pop(1000), Some(slices("b")));
        assert_eq!(queue.pop(1000), None);
        assert_eq!(queue.pop(1200), Some(slices("a")));
    }

    #[test]
    fn news_hurries_a_write_that_is_held() {
        let mut queue = Queue::default();
        queue.add(slices("a"), 0);
        let target = queue.pop(0).expect("due");
        queue.later(target, 30_000, 0);
        assert_eq!((queue.pop(1000), queue.next_due_ms(1000)), (None, Some(29_000)));
        queue.add(slices("a"), 2000);
        let target = queue.pop(2000).expect("news");
        queue.later(target, 30_000, 2000);
        assert_eq!(queue.pop(30_000), Some(slices("a")));
    }

    #[test]
    fn the_oldest_change_is_known_until_it_is_written_also_while_it_fails() {
        let mut queue = Queue::default();
        queue.add(slices("a"), 100);
        let target = queue.pop(100).expect("due");
        queue.failed(target, 200);
        assert_eq!(queue.oldest_ms(1100), 1000);
        let target = queue.pop(1100).expect("due again");
        queue.done(target, 1200);
        assert_eq!(queue.oldest_ms(9999), 0);
    }
}
