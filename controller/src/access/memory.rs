//! What is remembered of earlier answers, in bounded number and without what was shown.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A fingerprint: 128 bits under keys of this process, so that nobody can make two things that have the same.
pub(super) type Print = u128;

/// The keys of fingerprints.
#[derive(Debug, Default)]
pub(super) struct Keys(RandomState, RandomState);

/// What was answered, and for how long it counts.
#[derive(Clone, Debug)]
pub(super) struct Known<T> {
    pub(super) said: T,
    /// From then on it is asked again beside its use.
    pub(super) aging: Instant,
    /// From then on it is asked again before its use.
    pub(super) stale: Instant,
    /// From then on it counts no more, even if nobody can be asked.
    pub(super) gone: Instant,
}

/// Answers by fingerprint. What was not used for longest goes first, half of all at a time.
#[derive(Debug)]
pub(super) struct Memory<T>(Mutex<Generations<T>>);

#[derive(Debug)]
struct Generations<T> {
    young: HashMap<Print, Known<T>>,
    old: HashMap<Print, Known<T>>,
    /// Of each generation.
    max: usize,
}

// === impl Keys ===

impl Keys {
    pub(super) fn print(&self, what: &impl Hash) -> Print {
        (Print::from(self.0.hash_one(what)) << 64) | Print::from(self.1.hash_one(what))
    }
}

// === impl Known ===

impl<T> Known<T> {
    /// It counts no longer than this from now on.
    pub(super) fn end(&mut self, after: Duration) {
        // A token says of itself when it ends: whatever it says, it must not lead out of what a clock can hold.
        let Some(end) = Instant::now().checked_add(after) else { return };
        self.aging = self.aging.min(end);
        self.stale = self.stale.min(end);
        self.gone = self.gone.min(end);
    }
}

// === impl Memory ===

impl<T: Clone> Memory<T> {
    /// Of at most so many.
    pub(super) fn new(max: usize) -> Self {
        Self(Mutex::new(Generations { young: HashMap::new(), old: HashMap::new(), max: max / 2 }))
    }

    /// What counts at this time.
    pub(super) fn get(&self, print: Print, now: Instant) -> Option<Known<T>> {
        let mut held = self.held();
        if let Some(known) = held.young.get(&print) {
            return (known.gone > now).then(|| known.clone());
        }
        let known = held.old.remove(&print).filter(|known| known.gone > now)?;
        held.insert(print, known.clone());
        Some(known)
    }

    pub(super) fn put(&self, print: Print, known: Known<T>) {
        let mut held = self.held();
        held.old.remove(&print);
        held.insert(print, known);
    }

    pub(super) fn len(&self) -> usize {
        let held = self.held();
        held.young.len() + held.old.len()
    }

    fn held(&self) -> MutexGuard<'_, Generations<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Generations ===

impl<T> Generations<T> {
    fn insert(&mut self, print: Print, known: Known<T>) {
        if self.young.len() >= self.max && !self.young.contains_key(&print) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(print, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(said: u8, until: Instant) -> Known<u8> {
        Known { said, aging: until, stale: until, gone: until }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_used_stays_and_the_rest_goes_at_the_bound() {
        let (memory, keys) = (Memory::new(8), Keys::default());
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        let used = keys.print(&"used");
        memory.put(used, known(1, later));
        for other in 0..1000_u32 {
            memory.put(keys.print(&other), known(2, later));
            assert!(memory.get(used, now).is_some(), "after {other} others");
            assert!(memory.len() <= 8);
        }
        assert!(memory.get(keys.print(&0_u32), now).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_beyond_all_clocks_is_none() {
        let later = Instant::now() + Duration::from_secs(60);
        let mut known = known(1, later);
        known.end(Duration::from_secs(u64::MAX));
        assert_eq!(known.gone, later);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_ended_does_not_count() {
        let (memory, keys) = (Memory::new(8), Keys::default());
        let now = Instant::now();
        let print = keys.print(&"it");
        memory.put(print, known(1, now + Duration::from_secs(1)));
        assert!(memory.get(print, now).is_some());
        assert!(memory.get(print, now + Duration::from_secs(1)).is_none());
    }
}
