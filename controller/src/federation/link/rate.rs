//! How much comes in a second, on average of the last minute.

use std::collections::VecDeque;

/// Looks at a counter, once a second at most.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(u64, u64)>);

const WINDOW_MS: u64 = 60_000;
const STEP_MS: u64 = 1_000;

// === impl Rate ===

impl Rate {
    /// The counter's growth in a second, when it is this at a time in milliseconds.
    pub(super) fn at(&mut self, now_ms: u64, count: u64) -> u32 {
        let step = self.0.back().is_none_or(|(at_ms, _)| now_ms >= at_ms.saturating_add(STEP_MS));
        if step {
            self.0.push_back((now_ms, count));
        }
        while self.0.get(1).is_some_and(|(at_ms, _)| now_ms >= at_ms.saturating_add(WINDOW_MS)) {
            self.0.pop_front();
        }
        let Some((since_ms, then)) = self.0.front() else { return 0 };
        let took_ms = now_ms.saturating_sub(*since_ms).max(STEP_MS);
        u32::try_from(count.saturating_sub(*then).saturating_mul(1_000) / took_ms).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_counts_and_what_was_before_does_not() {
        let mut rate = Rate::default();
        assert_eq!(rate.at(5_000, 0), 0);
        assert_eq!(rate.at(5_100, 400), 400, "within a second it is not more");
        assert_eq!(rate.at(15_000, 10_000), 1_000);
        let still: Vec<_> = (16..=80).map(|second| rate.at(second * 1_000, 10_000)).collect();
        assert_eq!((still[0], still[64]), (909, 0));
        assert!(rate.0.len() <= 62, "{}", rate.0.len());
    }
}
