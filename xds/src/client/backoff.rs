//! Delays between attempts.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// Delays between attempts: the first is anything up to `min`, so that a restarted server is found at once and its clients
/// do not come all together; each further one doubles, up to `max`, and is drawn from its upper half.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

// === impl Backoff ===

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// The last stream was good.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The delay before the next attempt; `random` is in `0.0..1.0`.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let bound = self.min.saturating_mul(1 << self.failures.min(16)).min(self.max);
        let quick = self.failures == 0;
        self.failures = self.failures.saturating_add(1);
        if quick { bound.mul_f64(random) } else { bound.mul_f64(0.5 + random / 2.0) }
    }
}
