//! Time. The only place that reads a clock; elsewhere time is a parameter.
#![allow(clippy::disallowed_methods, reason = "this is the module that the lint points to")]

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rollcall_catalog::time::Now;
use tokio::time::Instant;

/// Reads wall and monotonic time; the latter is tokio's, which tests pause.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

// === impl Clock ===

impl Default for Clock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock {
    /// Both clocks, for what is pure.
    pub fn now(&self) -> Now {
        Now { mono_ms: self.monotonic_ms(), wall_ms: self.wall_ms() }
    }

    /// Milliseconds since the epoch, for people and for phases that outlive a process.
    pub fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// The wall clock, for what is written into objects.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Seconds since the epoch, for what certificates say of their validity.
    pub fn wall_s() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    /// Milliseconds since the process started; never goes back.
    pub fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
