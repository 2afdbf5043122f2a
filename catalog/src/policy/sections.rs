//! What can be decided about the history of a service's endpoints.

use std::sync::Arc;
use std::time::Duration;

use crate::digest::Digest;
use crate::evict::TimeToEvict;
use crate::model::Name;

/// When a removal is too large to be believed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalGuard {
    /// The largest part of the callable endpoints of the service, or of one of its failure domains (zones), that may
    /// leave within [`Self::window`], in percent, 0..=100.
    pub percent_max: u8,
    /// A service or domain with fewer callable endpoints than this is not guarded.
    pub endpoints_min: usize,
    /// What left within this time counts together.
    pub window: Duration,
    /// How long those that left are held at the longest.
    pub hold: Duration,
    /// Whose endpoints are guarded.
    pub scope: Scope,
}

/// Whose endpoints a guard is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Every endpoint: also pods that are not ready any more.
    #[default]
    All,
    /// Registered endpoints alone: pods are as their EndpointSlices say.
    Registered,
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

/// When an endpoint falls too often to be given to callers, after RFC 2439: each fall adds a penalty, which decays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    /// What a fall adds; at least 1.
    pub penalty: u32,
    /// The time in which a penalty becomes half of what it was.
    pub half_life: Duration,
    /// From this penalty on an endpoint is kept out.
    pub suppress: u32,
    /// At this penalty it is callable again; below [`Self::suppress`], at least 1.
    pub reuse: u32,
    /// How long an endpoint that has stopped to fall is kept out at the longest: it bounds the penalty.
    pub maximum: Duration,
}

/// Checks of the pods of a service. What they do is the business of whoever runs them; here is what can be told of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodChecks {
    /// What is checked, in plain words.
    pub says: Name,
    /// Tells them from others: a hash of what they are.
    pub version: u64,
    /// From the death of a pod to the verdict, at the longest, without lateness.
    pub time_to_evict: TimeToEvict,
}

/// Who else is asked before an endpoint that was Passing turns Critical. The majority of those that answer decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// How many other replicas probe it too, 0..=3. Fewer where there are fewer.
    pub replicas: u8,
    /// Those who are no replicas, sorted: `agent/MACHINE` and `dns/NODE`. Who cannot answer does not count.
    pub others: Arc<[Name]>,
}

/// What callers that weigh endpoints send to those in Warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warned {
    /// Of what one that is Passing gets, 0..=100; 0: nothing as long as one is Passing.
    pub percent: u8,
}

// === impl RemovalGuard ===

impl RemovalGuard {
    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.number(self.percent_max.into()).number(self.endpoints_min as u64);
        digest.number(ms(self.window)).number(ms(self.hold)).number(self.scope as u64);
    }
}

impl Default for RemovalGuard {
    fn default() -> Self {
        Self {
            percent_max: 50,
            endpoints_min: 4,
            window: Duration::from_secs(30),
            hold: Duration::from_secs(300),
            scope: Scope::All,
        }
    }
}

// === impl Staleness ===

impl Staleness {
    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.number(ms(self.after)).number(self.then as u64);
    }
}

// === impl Damping ===

impl Damping {
    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.number(self.penalty.into()).number(self.suppress.into()).number(self.reuse.into());
        digest.number(ms(self.half_life)).number(ms(self.maximum));
    }
}

impl Default for Damping {
    fn default() -> Self {
        Self {
            penalty: 1000,
            half_life: Duration::from_secs(60),
            suppress: 3000,
            reuse: 1000,
            maximum: Duration::from_secs(600),
        }
    }
}

// === impl Confirmation ===

impl Confirmation {
    /// So many replicas, and nobody else.
    pub fn by_replicas(replicas: u8) -> Self {
        Self { replicas, others: [].into() }
    }

    /// Whether anybody is asked.
    pub fn asks(&self) -> bool {
        self.replicas > 0 || !self.others.is_empty()
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.number(self.replicas.into());
        // As before where there are none.
        if !self.others.is_empty() {
            self.others.iter().fold(digest.number(5), |digest, name| digest.text(name));
        }
    }
}

impl Default for Confirmation {
    fn default() -> Self {
        Self::by_replicas(3)
    }
}

// === impl Warned ===

impl Default for Warned {
    fn default() -> Self {
        Self { percent: 100 }
    }
}

/// In whole milliseconds.
pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
