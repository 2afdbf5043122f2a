//! What a service's owner decided about history: how much may vanish at once, and how old an answer may be.

use std::time::Duration;

use crate::digest::Digest;

/// The policy in force for a service. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Holds endpoints that vanish together; `None`: what is gone is gone.
    pub removal: Option<RemovalGuard>,
    /// The age from which what sources say counts as stale; `None`: never.
    pub staleness: Option<Staleness>,
}

/// When a removal is too large to be believed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalGuard {
    /// The largest part of the callable endpoints of one failure domain (zone) that may leave within [`Self::window`],
    /// in percent, 1..=100.
    pub percent_max: u8,
    /// A domain with fewer callable endpoints than this is not guarded.
    pub endpoints_min: usize,
    /// What left within this time counts together.
    pub window: Duration,
    /// How long those that left are held at the longest.
    pub hold: Duration,
}

/// When old data is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staleness {
    /// Without word from a source for this long, what it said is stale.
    pub after: Duration,
    /// What happens then.
    pub then: WhenStale,
}

/// What callers get of stale data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WhenStale {
    /// The same as before, marked as stale: a wrong address costs a caller less than none.
    #[default]
    Serve,
    /// Nothing: the endpoints stay listed and are not callable.
    Refuse,
}

// === impl Policy ===

impl Policy {
    pub(crate) fn digest(&self, digest: &mut Digest) {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if let Some(guard) = self.removal {
            digest.flag(true).number(guard.percent_max.into()).number(guard.endpoints_min as u64);
            digest.number(ms(guard.window)).number(ms(guard.hold));
        }
        if let Some(staleness) = self.staleness {
            digest.flag(false).number(ms(staleness.after)).number(staleness.then as u64);
        }
    }
}

// === impl RemovalGuard ===

impl Default for RemovalGuard {
    fn default() -> Self {
        Self { percent_max: 50, endpoints_min: 4, window: Duration::from_secs(30), hold: Duration::from_secs(300) }
    }
}
