//! The fence: until when a leader may begin a write.

use std::time::Duration;

use tokio::sync::watch;

use crate::time::clock::Clock;

/// The longest that a write may take: it is given up then.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// What is left of the lease when the last write must have ended: for clocks that run at different speeds.
const MARGIN: Duration = Duration::from_secs(1);

/// The term of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// `leaseTransitions`: grows with each change of leader.
    pub number: i32,
    /// When the lease ends unless it is renewed, in milliseconds of the local monotonic clock.
    pub until_ms: u64,
}

/// A reader of the current term. A leader that cannot renew loses the right to write by the clock alone, without having
/// to be told; a write that has begun is over before anyone else may begin one.
#[derive(Clone, Debug)]
pub struct Fence {
    term: watch::Receiver<Option<Term>>,
    clock: Clock,
}

// === impl Fence ===

impl Fence {
    /// A fence on the terms that an elector publishes.
    pub fn new(term: watch::Receiver<Option<Term>>, clock: Clock) -> Self {
        Self { term, clock }
    }

    /// Whether a write may begin now.
    pub fn is_open(&self) -> bool {
        self.term.borrow().is_some_and(|term| may_begin(term, self.clock.monotonic_ms()))
    }

    /// The number of the current term, if a write may begin.
    pub fn term(&self) -> Option<i32> {
        self.term.borrow().filter(|term| may_begin(*term, self.clock.monotonic_ms())).map(|term| term.number)
    }

    /// Waits for the next change of term.
    ///
    /// # Errors
    /// When the elector is gone.
    pub async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        self.term.changed().await
    }
}

fn may_begin(term: Term, now_ms: u64) -> bool {
    let needed_ms = u64::try_from((WRITE_TIMEOUT + MARGIN).as_millis()).unwrap_or(u64::MAX);
    now_ms.saturating_add(needed_ms) <= term.until_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_write_begins_that_could_outlive_the_lease() {
        let term = Term { number: 1, until_ms: 10_000 };
        assert!(may_begin(term, 6_000));
        assert!(!may_begin(term, 6_001));
        assert!(!may_begin(term, 20_000));
    }
}
