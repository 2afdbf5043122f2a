//! Time, as a parameter.

use std::time::Duration;

/// A moment, by both clocks. The catalog reads none: whoever calls it says what time it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Milliseconds of this process's monotonic clock. Every span and every bound is judged by it.
    pub mono_ms: u64,
    /// Milliseconds since the epoch, for what people are told.
    pub wall_ms: i64,
}

/// A span as people say it: `90 s`, `5 min`, `2 h`.
pub fn words(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        s if s >= 7200 && s.is_multiple_of(3600) => format!("{} h", s / 3600),
        s if s >= 120 && s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}
