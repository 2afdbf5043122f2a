//! Time. The only place that reads a clock; elsewhere time is a parameter.
#![allow(clippy::disallowed_methods, reason = "this is the module that the lint points to")]

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

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
    /// Both.
    pub fn now(self) -> Now {
        let mono_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms, wall_ms: Self::wall_ms() }
    }

    /// Milliseconds since the epoch.
    pub fn wall_ms() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A number in 0..1, different in every process and at every call: for jitter, and to tell agents apart.
pub fn fraction() -> f64 {
    (bits() >> 11) as f64 / (1_u64 << 53) as f64
}

/// 64 bits that nobody else has.
pub fn bits() -> u64 {
    // Each RandomState has its own keys, seeded by the operating system.
    RandomState::new().hash_one(SystemTime::now())
}
