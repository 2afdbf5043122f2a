//! The times between the last beats of one instance: their mean and deviation, exact, in two bytes each.

use std::time::Duration;

/// The last times between beats. Each is kept in units of a 65,535th of the longest that can be, which is a millisecond up
/// to a minute, so that the state of an instance stays small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals {
    samples: Vec<u16>,
    window: u16,
    oldest: u16,
    unit_ms: u32,
    sum: u64,
    squares: u64,
}

// === impl Intervals ===

impl Intervals {
    /// Nothing is known but how often the instance is asked to beat: two samples a quarter below and above, as Akka begins.
    /// They leave the window like others do.
    pub fn new(window: u16, interval: Duration, longest: Duration) -> Self {
        let unit_ms = millis(longest).div_ceil(u64::from(u16::MAX)).max(1);
        let unit_ms = u32::try_from(unit_ms).unwrap_or(u32::MAX);
        let mut intervals = Self { samples: Vec::new(), window: window.max(2), oldest: 0, unit_ms, sum: 0, squares: 0 };
        let interval_ms = millis(interval);
        intervals.add(interval_ms.saturating_mul(3) / 4);
        intervals.add(interval_ms.saturating_mul(5) / 4);
        intervals
    }

    /// One more; the oldest is forgotten when the window is full.
    pub fn add(&mut self, interval_ms: u64) {
        let unit_ms = u64::from(self.unit_ms);
        let sample = u16::try_from(interval_ms.saturating_add(unit_ms / 2) / unit_ms).unwrap_or(u16::MAX);
        if self.samples.len() < usize::from(self.window) {
            if self.samples.len() == self.samples.capacity() {
                // Not by doubling: what an instance may take is told.
                self.samples
                    .reserve_exact((self.samples.len() + 14).min(usize::from(self.window)) - self.samples.len());
            }
            self.samples.push(sample);
        } else if let Some(slot) = self.samples.get_mut(usize::from(self.oldest)) {
            let gone = u64::from(std::mem::replace(slot, sample));
            self.sum -= gone;
            self.squares -= gone * gone;
            self.oldest = (self.oldest + 1) % self.window;
        }
        // 200 of 65,535 squared are far from the bound of the type.
        self.sum += u64::from(sample);
        self.squares += u64::from(sample) * u64::from(sample);
    }

    /// In milliseconds.
    pub fn mean_ms(&self) -> f64 {
        self.sum as f64 / self.samples.len().max(1) as f64 * f64::from(self.unit_ms)
    }

    /// The standard deviation, in milliseconds. From whole numbers: nothing cancels.
    pub fn deviation_ms(&self) -> f64 {
        let n = self.samples.len().max(1) as u64;
        let spread = (n * self.squares).saturating_sub(self.sum * self.sum);
        (spread as f64).sqrt() / n as f64 * f64::from(self.unit_ms)
    }

    /// Samples in the window.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none; never, after [`Intervals::new`].
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.samples.capacity() * size_of::<u16>()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By the definition, in two passes.
    fn exact(samples: &[u64]) -> (f64, f64) {
        let n = samples.len() as f64;
        let mean = samples.iter().map(|sample| *sample as f64).sum::<f64>() / n;
        let variance = samples.iter().map(|sample| (*sample as f64 - mean).powi(2)).sum::<f64>() / n;
        (mean, variance.sqrt())
    }

    proptest! {
        #[test]
        fn mean_and_deviation_are_those_of_the_last_samples(
            added in proptest::collection::vec(0_u64..60_000, 0..500),
            window in 10_u16..200,
        ) {
            let mut intervals = Intervals::new(window, Duration::from_secs(1), Duration::from_secs(60));
            added.iter().for_each(|sample| intervals.add(*sample));
            let all: Vec<u64> = [750, 1250].into_iter().chain(added).collect();
            let (mean, deviation) = exact(&all[all.len().saturating_sub(usize::from(window))..]);
            prop_assert!((intervals.mean_ms() - mean).abs() < 1e-6, "{} is {mean}", intervals.mean_ms());
            prop_assert!((intervals.deviation_ms() - deviation).abs() < 1e-3, "{} is {deviation}", intervals.deviation_ms());
            prop_assert!(intervals.heap_bytes() <= 2 * usize::from(window));
        }
    }

    #[test]
    fn long_intervals_are_kept_by_a_coarser_unit_and_nothing_overflows() {
        let day = Duration::from_secs(86_400);
        let mut intervals = Intervals::new(200, day / 10, day);
        (0..1_000).for_each(|_| intervals.add(u64::MAX));
        assert!((intervals.mean_ms() - 86_400_000.0).abs() < 100_000.0, "{}", intervals.mean_ms());
        (0..1_000).for_each(|_| intervals.add(8_640_000));
        assert!((intervals.mean_ms() - 8_640_000.0).abs() < 1_000.0, "{}", intervals.mean_ms());
        assert!(intervals.deviation_ms() < 1.0);
    }
}
