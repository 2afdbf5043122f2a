//! Whether this replica is what fails: unrelated targets that begin to fail together are its own doing (after Lifeguard;
//! Dadgar, Phillips and Currey, 2018).
//!
//! What is unrelated is of different registrations. A replica that suspects itself says so: others take its work over, and what
//! it sees counts for nothing against an endpoint until it has been well for a time.

use std::collections::HashMap;
use std::hash::Hash;

/// What this replica knows about itself. `T` tells what is unrelated.
#[derive(Debug)]
pub struct Suspicion<T> {
    /// When each last passed or, since then, began to fail.
    passed: HashMap<T, u64>,
    failed: HashMap<T, u64>,
    /// Contradicted by others, of late.
    denied: HashMap<T, u64>,
    until_ms: Option<u64>,
    hold_ms: u64,
    ended_ms: u64,
    looked_ms: u64,
}

/// What is older says nothing about now.
const WINDOW_MS: u64 = 10_000;
/// So many unrelated ones at least.
const TOGETHER_MIN: usize = 3;
/// How long it lasts the first time; each that follows soon takes twice as long.
const HOLD_MS: u64 = 10_000;
const HOLD_MAX_MS: u64 = 300_000;
/// After so long without, the next is a first one again.
const FORGIVEN_MS: u64 = 120_000;
/// Between two counts: each looks at all that is in the window.
const LOOK_MS: u64 = 50;

// === impl Suspicion ===

impl<T: Clone + Eq + Hash> Suspicion<T> {
    /// Whether it suspects itself at `now_ms`.
    pub fn is_on(&self, now_ms: u64) -> bool {
        self.until_ms.is_some_and(|until_ms| now_ms < until_ms)
    }

    /// When it ends, until [`Suspicion::tick`] has seen that.
    pub fn until_ms(&self) -> Option<u64> {
        self.until_ms
    }

    /// Time passes.
    pub fn tick(&mut self, now_ms: u64) {
        self.until_ms = self.until_ms.filter(|until_ms| now_ms < *until_ms);
    }

    /// A probe passed.
    pub fn passed(&mut self, of: &T, now_ms: u64) {
        self.failed.remove(of);
        self.denied.remove(of);
        self.passed.insert(of.clone(), now_ms);
        if now_ms >= self.looked_ms.saturating_add(WINDOW_MS) {
            self.look(now_ms);
        }
    }

    /// A probe failed of something that was well until then.
    pub fn failed(&mut self, of: &T, now_ms: u64) {
        self.failed.insert(of.clone(), now_ms);
        self.passed.remove(of);
        self.look(now_ms);
    }

    /// Others reach what this replica does not.
    pub fn denied(&mut self, of: &T, now_ms: u64) {
        self.denied.insert(of.clone(), now_ms);
        self.look(now_ms.max(self.looked_ms.saturating_add(LOOK_MS)));
    }

    fn look(&mut self, now_ms: u64) {
        if self.is_on(now_ms) || now_ms < self.looked_ms.saturating_add(LOOK_MS) {
            return;
        }
        self.looked_ms = now_ms;
        let since_ms = now_ms.saturating_sub(WINDOW_MS);
        for seen in [&mut self.passed, &mut self.failed, &mut self.denied] {
            seen.retain(|_, at_ms| *at_ms >= since_ms);
        }
        let together = self.failed.len() >= TOGETHER_MIN && self.failed.len() > self.passed.len();
        if together || self.denied.len() >= TOGETHER_MIN {
            self.begin(now_ms);
        }
    }

    fn begin(&mut self, now_ms: u64) {
        let again = self.hold_ms > 0 && now_ms < self.ended_ms.saturating_add(FORGIVEN_MS);
        self.hold_ms = if again { (2 * self.hold_ms).min(HOLD_MAX_MS) } else { HOLD_MS };
        self.ended_ms = now_ms.saturating_add(self.hold_ms);
        self.until_ms = Some(self.ended_ms);
        // It is to be well anew afterwards.
        (self.passed, self.failed, self.denied) = Default::default();
    }
}

impl<T> Default for Suspicion<T> {
    fn default() -> Self {
        Self {
            passed: HashMap::new(),
            failed: HashMap::new(),
            denied: HashMap::new(),
            until_ms: None,
            hold_ms: 0,
            ended_ms: 0,
            looked_ms: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unrelated_ones_that_begin_to_fail_together_are_ones_own_doing() {
        let mut suspicion = Suspicion::<u32>::default();
        (0..10).for_each(|n| suspicion.passed(&n, 1_000));
        (0..5).for_each(|n| suspicion.failed(&n, 2_000 + u64::from(n) * 100));
        assert!(!suspicion.is_on(2_500), "half of them is an outage of theirs");
        suspicion.failed(&5, 2_600);
        assert!(suspicion.is_on(2_600) && !suspicion.is_on(2_600 + HOLD_MS));
    }

    #[test]
    fn one_that_fails_often_is_one() {
        let mut suspicion = Suspicion::<u32>::default();
        (0..100).for_each(|n| suspicion.failed(&(n % 2), 1_000 + u64::from(n) * 100));
        assert!(!suspicion.is_on(11_000));
    }

    #[test]
    fn whom_others_contradict_three_times_suspects_itself_and_longer_the_next_time() {
        let mut suspicion = Suspicion::<u32>::default();
        (0..100).for_each(|n| suspicion.passed(&n, 0));
        (0..3).for_each(|n| suspicion.denied(&n, 1));
        assert!(suspicion.is_on(HOLD_MS) && !suspicion.is_on(HOLD_MS + 1_000));
        (0..3).for_each(|n| suspicion.denied(&n, 20_000));
        assert!(suspicion.is_on(20_000 + 2 * HOLD_MS - 1));
        (0..3).for_each(|n| suspicion.denied(&n, 500_000));
        assert!(!suspicion.is_on(500_000 + HOLD_MS + 1_000), "forgiven");
    }
}
