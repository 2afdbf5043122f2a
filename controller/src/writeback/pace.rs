//! How often one thing may happen: CatalogEntries that change all the time, and Events of one namespace.

use std::collections::HashMap;
use std::hash::Hash;

use super::budget::Budget;

/// A budget for each key. One that is full again is forgotten, so that there are as many as are in use.
#[derive(Debug)]
pub struct Pace<K> {
    fresh: Budget,
    budgets: HashMap<K, Budget>,
}

/// Budgets above which those that are full are forgotten.
const SWEEP_AT: usize = 1024;

// === impl Pace ===

impl<K: Clone + Eq + Hash> Pace<K> {
    /// `burst` at once, and `per_second` on average.
    pub fn new(per_second: f64, burst: f64) -> Self {
        Self { fresh: Budget::with_burst(per_second, burst), budgets: HashMap::new() }
    }

    /// Milliseconds until the next may happen; 0 when it may now.
    pub fn wait_ms(&mut self, key: &K, now_ms: u64) -> u64 {
        self.budgets.get_mut(key).map_or(0, |budget| if budget.has_token(now_ms) { 0 } else { budget.wait_ms().max(1) })
    }

    /// It happens.
    pub fn spend(&mut self, key: &K, now_ms: u64) {
        if self.budgets.len() >= SWEEP_AT {
            self.budgets.retain(|_, budget| !budget.is_full(now_ms));
        }
        let fresh = self.fresh;
        let budget = self.budgets.entry(key.clone()).or_insert_with(|| fresh.starting(now_ms));
        budget.has_token(now_ms);
        budget.spend(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_at_once_and_then_at_the_pace_each_for_itself() {
        let mut pace = Pace::new(0.2, 3.0);
        for _ in 0..3 {
            assert_eq!(pace.wait_ms(&"a", 1_000_000), 0);
            pace.spend(&"a", 1_000_000);
        }
        assert_eq!(pace.wait_ms(&"a", 1_000_000), 5000);
        assert_eq!((pace.wait_ms(&"b", 1_000_000), pace.wait_ms(&"a", 1_005_000)), (0, 0));
    }
}
