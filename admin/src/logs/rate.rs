//! How often one thing is said.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::counts;
use crate::bucket::Bucket;

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
    lines: Bucket,
    /// Since the last line that was let through.
    unsaid: AtomicU64,
}

// === impl LogRate ===

impl LogRate {
    /// `burst` lines at once, and then one each time that `every` has passed.
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self { lines: Bucket::new(burst, every), unsaid: AtomicU64::new(0) }
    }

    /// Whether a line may be said now: how many were withheld since the last one. `None`: this one is withheld, too.
    pub fn permit(&self) -> Option<u64> {
        self.permit_at(Instant::now())
    }

    /// Takes what was withheld since the last line, for a summary.
    pub fn take_unsaid(&self) -> u64 {
        self.unsaid.swap(0, Relaxed)
    }

    fn permit_at(&self, now: Instant) -> Option<u64> {
        if self.lines.take(now) {
            return Some(self.take_unsaid());
        }
        self.unsaid.fetch_add(1, Relaxed);
        counts::WITHHELD.add(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_withheld_is_counted_and_told_with_the_next_line() {
        let rate = LogRate::new(3, Duration::from_secs(10));
        let (start, before) = (Instant::now(), counts::WITHHELD.get());
        assert_eq!((0..100).filter_map(|_| rate.permit_at(start)).count(), 3);
        assert!(counts::WITHHELD.get() >= before + 97);
        assert_eq!(rate.permit_at(start + Duration::from_secs(9)), None);
        assert_eq!(rate.permit_at(start + Duration::from_secs(10)), Some(98));
        assert_eq!(rate.permit_at(start + Duration::from_secs(11)), None);
        assert_eq!((rate.take_unsaid(), rate.take_unsaid()), (1, 0));
    }
}
