//! How late probes begin, as a number that can be told: coarse, and of what lasts only.

use std::time::Duration;

/// What was seen of the lateness of probes, and what is told of it.
///
/// A burst is over before anybody reads of it. So a step is told when two windows in a row reached it, and taken back when
/// two in a row stayed below.
#[derive(Debug, Default)]
pub struct Lateness {
    /// When the window under way began, in milliseconds of the monotonic clock.
    began_ms: u64,
    /// The latest probe of the window under way.
    worst: Duration,
    /// The step that the window before reached.
    before: Duration,
    told: Duration,
}

/// How long a window is.
const WINDOW_MS: u64 = 30_000;
/// What is told, at the least that it is told for. Below half a second nothing is: the rounding of the time to evict is as
/// large.
const STEPS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];
/// Up to here nothing is told.
const UNTOLD: Duration = Duration::from_millis(500);

// === impl Lateness ===

impl Lateness {
    /// A probe begins so late.
    pub fn started(&mut self, late: Duration) {
        self.worst = self.worst.max(late);
    }

    /// What is to be told from now on, if that is something else than before.
    pub fn news(&mut self, now_ms: u64) -> Option<Duration> {
        let windows = now_ms.saturating_sub(self.began_ms) / WINDOW_MS;
        if windows == 0 {
            return None;
        }
        self.began_ms = now_ms;
        let mut now = step(std::mem::take(&mut self.worst));
        let told = self.told;
        self.close(now);
        if windows > 1 {
            // Nothing began in the windows after it.
            now = Duration::ZERO;
            self.close(now);
        }
        (self.told != told).then_some(self.told)
    }

    fn close(&mut self, now: Duration) {
        let (low, high) = (now.min(self.before), now.max(self.before));
        self.told = self.told.clamp(low, high);
        self.before = now;
    }
}

/// The step that holds a lateness; the last one holds all that is later.
fn step(late: Duration) -> Duration {
    if late <= UNTOLD {
        return Duration::ZERO;
    }
    STEPS.into_iter().find(|step| late <= *step).unwrap_or(STEPS[STEPS.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told at the end of windows with these latest probes, in milliseconds.
    fn told(windows: &[u64]) -> Vec<u64> {
        let mut lateness = Lateness::default();
        let mut told = Duration::ZERO;
        let mut end = |(at, late_ms): (usize, &u64)| {
            lateness.started(Duration::from_millis(*late_ms));
            told = lateness.news((at as u64 + 1) * WINDOW_MS).unwrap_or(told);
            told.as_secs()
        };
        windows.iter().enumerate().map(&mut end).collect()
    }

    #[test]
    fn a_burst_is_not_told_and_what_lasts_is() {
        assert_eq!(told(&[3_000, 0, 3_000, 0]), [0, 0, 0, 0]);
        assert_eq!(told(&[3_000, 1_500, 4_000, 4_000]), [0, 2, 2, 5]);
    }

    #[test]
    fn it_is_taken_back_when_two_windows_stay_below() {
        assert_eq!(told(&[3_000, 3_000, 20, 4_000, 20, 900, 20, 20]), [0, 5, 5, 5, 5, 1, 1, 0]);
    }

    #[test]
    fn milliseconds_are_nothing_and_more_than_a_minute_is_a_minute() {
        assert_eq!(told(&[500, 500]), [0, 0]);
        assert_eq!(told(&[100_000, 100_000]), [0, 60]);
    }

    #[test]
    fn where_nothing_begins_nothing_is_late() {
        let mut lateness = Lateness::default();
        lateness.started(Duration::from_secs(3));
        assert_eq!(lateness.news(WINDOW_MS), None);
        lateness.started(Duration::from_secs(3));
        assert_eq!(lateness.news(2 * WINDOW_MS), Some(Duration::from_secs(5)));
        assert_eq!(lateness.news(2 * WINDOW_MS + 1), None);
        assert_eq!(lateness.news(9 * WINDOW_MS), Some(Duration::ZERO));
    }
}
