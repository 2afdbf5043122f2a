//! How long a dead endpoint is still given to callers, at the longest, term by term.

use std::time::Duration;

/// From the death of an endpoint to the verdict, at the longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeToEvict {
    /// Until as many results speak against it as its settings ask for.
    pub detection: Duration,
    /// Until others who were asked have answered, where that takes longer.
    pub confirmation: Duration,
    /// What lasts of the lateness of probes.
    pub lateness: Duration,
}

// === impl TimeToEvict ===

impl TimeToEvict {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.detection + self.confirmation + self.lateness
    }
}
