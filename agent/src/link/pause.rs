//! Between attempts to reach a controller.

use std::time::Duration;

/// Pauses with full jitter: the first anything up to half a second, doubling to 15 s.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    failures: u32,
}

const MIN: Duration = Duration::from_millis(500);
const MAX: Duration = Duration::from_secs(15);

// === impl Pause ===

impl Pause {
    /// The next pause; `random` is in 0..1.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let bound = MIN.saturating_mul(1 << self.failures.min(5)).min(MAX);
        self.failures += 1;
        bound.mul_f64(random)
    }

    /// The last stream was good.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_fifteen_seconds_and_spread_over_all_of_it() {
        let mut pause = Pause::default();
        let bounds: Vec<_> = (0..7).map(|_| pause.next(1.0).as_millis()).collect();
        assert_eq!(bounds, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
        assert_eq!(pause.next(0.1), Duration::from_millis(1_500));
        pause.reset();
        assert_eq!(pause.next(0.5), Duration::from_millis(250));
    }
}
