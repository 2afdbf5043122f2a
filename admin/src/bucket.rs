//! A token bucket: so many at once, and then one each time that a while has passed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Bounds how often something is done. Can be a `static`.
#[derive(Debug)]
pub(crate) struct Bucket {
    burst: u32,
    every: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    left: u32,
    /// From when on the next one comes back; `None` before the first.
    since: Option<Instant>,
}

// === impl Bucket ===

impl Bucket {
    pub(crate) const fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, state: Mutex::new(State { left: burst, since: None }) }
    }

    /// Whether it may be done at this time; if so, it counts as done.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *state.since.get_or_insert(now);
        let nanos = self.every.as_nanos().max(1);
        let back = u32::try_from(now.saturating_duration_since(since).as_nanos() / nanos).unwrap_or(u32::MAX);
        if back >= self.burst - state.left {
            *state = State { left: self.burst, since: Some(now) };
        } else {
            *state = State { left: state.left + back, since: Some(since + self.every * back) };
        }
        let may = state.left > 0;
        state.left = state.left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_at_a_time_and_a_silence_saves_no_more_than_the_burst() {
        let bucket = Bucket::new(3, Duration::from_secs(10));
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let taken = |now| (0..100).filter(|_| bucket.take(now)).count();
        assert_eq!((taken(start), taken(start + 9 * second), taken(start + 10 * second)), (3, 0, 1));
        assert_eq!((taken(start + 11 * second), taken(start + 20 * second)), (0, 1));
        assert_eq!(taken(start + 3600 * second), 3);
    }
}
