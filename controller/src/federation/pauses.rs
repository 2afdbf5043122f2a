//! When an object may be written again: what was refused waits by itself, longer each time, and keeps nothing else waiting.

use std::collections::HashMap;
use std::hash::Hash;

/// By the object. One entry for each that was written or refused of late.
#[derive(Debug)]
pub struct Pauses<K>(HashMap<K, Pause>);

#[derive(Debug)]
struct Pause {
    until_ms: u64,
    /// How long the next one is, should it be refused again.
    next_ms: u64,
}

/// Until what was written has come back by its watch.
const WRITTEN_MS: u64 = 300;
/// Until what was refused is tried again: the first time, and at most.
const REFUSED_MIN_MS: u64 = 5_000;
const REFUSED_MAX_MS: u64 = 120_000;

// === impl Pauses ===

impl<K> Default for Pauses<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Pauses<K> {
    /// Whether it may be written now.
    pub fn may(&self, key: &K, now_ms: u64) -> bool {
        self.0.get(key).is_none_or(|pause| pause.until_ms <= now_ms)
    }

    /// It was written.
    pub fn written(&mut self, key: &K, now_ms: u64) {
        let pause = Pause { until_ms: now_ms.saturating_add(WRITTEN_MS), next_ms: REFUSED_MIN_MS };
        self.0.insert(key.clone(), pause);
    }

    /// It was refused, or there was no answer.
    pub fn refused(&mut self, key: &K, now_ms: u64) {
        let pause = self.0.entry(key.clone()).or_insert(Pause { until_ms: 0, next_ms: REFUSED_MIN_MS });
        pause.until_ms = now_ms.saturating_add(pause.next_ms);
        pause.next_ms = (pause.next_ms * 2).min(REFUSED_MAX_MS);
    }

    /// Forgets whose pause is over for so long that its next one is as good as the first.
    pub fn sweep(&mut self, now_ms: u64) {
        self.0.retain(|_, pause| pause.until_ms.saturating_add(2 * pause.next_ms) > now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_waits_longer_each_time_and_the_rest_does_not() {
        let mut pauses = Pauses::default();
        let mut now_ms = 0;
        for waits_ms in [5_000, 10_000, 20_000, 40_000, 80_000, 120_000, 120_000] {
            pauses.refused(&"a", now_ms);
            assert!(pauses.may(&"b", now_ms));
            assert!(!pauses.may(&"a", now_ms + waits_ms - 1) && pauses.may(&"a", now_ms + waits_ms));
            now_ms += waits_ms;
            pauses.sweep(now_ms);
        }
        pauses.written(&"a", now_ms);
        assert!(!pauses.may(&"a", now_ms) && pauses.may(&"a", now_ms + 300));
        pauses.refused(&"a", now_ms + 300);
        assert!(pauses.may(&"a", now_ms + 5_300), "a success ends the series");
        pauses.sweep(now_ms + 60_000);
        assert!(pauses.0.is_empty());
    }
}
