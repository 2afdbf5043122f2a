//! How fast a client reads.

use std::time::Duration;

/// Reads as many bytes a second, on average: what came beyond is waited for before more is read, and so waits at the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bytes_per_second: u32,
    /// Until when what came is paid for, since some beginning.
    until: Duration,
}

// === impl Pace ===

impl Pace {
    /// As many; at least one.
    pub(super) fn new(bytes_per_second: u32) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), until: Duration::ZERO }
    }

    /// So many bytes came by `now`, since that beginning. How long to wait before more is read.
    pub(super) fn came(&mut self, bytes: usize, now: Duration) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / f64::from(self.bytes_per_second));
        self.until = self.until.max(now).saturating_add(cost);
        self.until.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_bytes_a_second_are_read_and_time_without_any_is_not_saved_up() {
        let second = Duration::from_secs;
        let mut pace = Pace::new(1_000);
        assert_eq!(pace.came(500, second(10)), Duration::from_millis(500));
        assert_eq!(pace.came(1_500, second(10)), second(2), "after what came before");
        assert_eq!(pace.came(1_000, second(12)), second(1));
        assert_eq!(pace.came(3_000, second(60)), second(3));
    }
}
