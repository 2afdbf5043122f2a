//! Lines of the log that a stranger can cause: counted always, and written now and then.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};

/// Lets some lines through in each period.
#[derive(Debug, Default)]
pub(crate) struct Rate(Mutex<Period>);

#[derive(Debug, Default)]
struct Period {
    began: Option<Instant>,
    written: u32,
    left_out: u64,
}

/// How long a period is.
const PERIOD: Duration = Duration::from_secs(10);
/// Lines in one.
const LINES: u32 = 5;

// === impl Rate ===

impl Rate {
    /// Whether a line may be written; if so, how many were left out since the last.
    pub(crate) fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut period = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if period.began.is_none_or(|began| now.duration_since(began) >= PERIOD) {
            period.began = Some(now);
            period.written = 0;
        }
        if period.written == LINES {
            period.left_out += 1;
            return None;
        }
        period.written += 1;
        Some(std::mem::take(&mut period.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_lines_are_written_and_the_next_says_how_many_were_not() {
        let rate = Rate::default();
        let written = (0..1_000).filter(|_| rate.admit() == Some(0)).count();
        assert_eq!(written, LINES as usize);
        tokio::time::advance(PERIOD).await;
        assert_eq!((rate.admit(), rate.admit()), (Some(1_000 - u64::from(LINES)), Some(0)));
    }
}
