//! How often one thing is said.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::counts;

/// Bounds the lines about one thing that a stranger can cause as often as they like. What is not said is counted.
///
/// ```
/// use std::time::Duration;
/// use rollcall_admin::LogRate;
///
/// static REFUSED: LogRate = LogRate::new(5, Duration::from_secs(10));
/// if let Some(unsaid) = REFUSED.permit() {
///     tracing::warn!(unsaid, "a client was refused");
/// }
/// ```
#[derive(Debug)]
pub struct LogRate {
    burst: u32,
    every: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Lines that may be said at once.
    left: u32,
    /// From when on the next one comes back; `None` before the first line.
    since: Option<Instant>,
    /// Since the last line that was let through.
    unsaid: u64,
}

// === impl LogRate ===

impl LogRate {
    /// `burst` lines at once, and then one each time that `every` has passed.
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, state: Mutex::new(State { left: burst, since: None, unsaid: 0 }) }
    }

    /// Whether a line may be said now: how many were withheld since the last one. `None`: this one is withheld, too.
    pub fn permit(&self) -> Option<u64> {
        self.permit_at(Instant::now())
    }

    /// Takes what was withheld since the last line, for a summary.
    pub fn take_unsaid(&self) -> u64 {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).unsaid)
    }

    fn permit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *state.since.get_or_insert(now);
        let nanos = self.every.as_nanos().max(1);
        let back = u32::try_from(now.saturating_duration_since(since).as_nanos() / nanos).unwrap_or(u32::MAX);
        if back >= self.burst - state.left {
            (state.left, state.since) = (self.burst, Some(now));
        } else {
            state.left += back;
            state.since = Some(since + self.every * back);
        }
        if state.left == 0 {
            state.unsaid += 1;
            counts::WITHHELD.add(1);
            return None;
        }
        state.left -= 1;
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_one_at_a_time_and_the_rest_is_counted() {
        let rate = LogRate::new(3, Duration::from_secs(10));
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let said: Vec<_> = (0..100).map(|_| rate.permit_at(start)).collect();
        assert_eq!(said.iter().flatten().count(), 3);
        assert_eq!(rate.permit_at(start + 9 * second), None);
        assert_eq!(rate.permit_at(start + 10 * second), Some(98));
        assert_eq!(rate.permit_at(start + 11 * second), None);
        assert_eq!(rate.permit_at(start + 20 * second), Some(1));
        let later = start + 3600 * second;
        let said: Vec<_> = (0..100).map(|_| rate.permit_at(later)).collect();
        assert_eq!(said.iter().flatten().count(), 3, "a long silence saves no more than the burst");
    }

    #[test]
    fn what_is_withheld_is_counted_also_for_a_summary() {
        let rate = LogRate::new(1, Duration::from_secs(10));
        let before = counts::WITHHELD.get();
        assert_eq!((0..5).filter_map(|_| rate.permit()).count(), 1);
        assert!(counts::WITHHELD.get() >= before + 4);
        assert_eq!((rate.take_unsaid(), rate.take_unsaid()), (4, 0));
    }
}
