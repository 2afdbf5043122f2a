//! How often an instance beats, and which silence convicts it; free of API types.

use std::time::Duration;

use rollcall_catalog::evict::TimeToEvict;

use super::tail;

/// The heartbeat of a registration's instances.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    interval: Duration,
    detector: Detector,
    /// Of phi's threshold: how many deviations longer than the mean.
    deviations: f64,
}

/// Which silence convicts.
#[derive(Clone, Debug, PartialEq)]
pub enum Detector {
    /// A fixed time.
    Ttl(Duration),
    /// One that is too unlikely by what was learned.
    Phi(Phi),
}

/// Phi-accrual (Hayashibara et al., 2004), with the pause and the least deviation of Akka's and a deadline as Hazelcast's.
#[derive(Clone, Debug, PartialEq)]
pub struct Phi {
    /// The silence is less likely than 10^-threshold.
    pub threshold: u8,
    /// Times between beats that are remembered, 10 to [`Phi::WINDOW_MAX`].
    pub window: u16,
    /// The deviation is this at least.
    pub min_deviation: Duration,
    /// Added to the mean.
    pub acceptable_pause: Duration,
    /// Whatever was learned.
    pub hard_deadline: Duration,
}

/// How often an instance beats that says nothing else.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// The shortest interval. What a definition says below it counts as this.
pub const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// The shortest silence that convicts.
pub const SILENCE_MIN: Duration = Duration::from_millis(500);
/// What comes on top of each silence: a beat that another replica heard comes in a batch ([`super::hearsay::BATCH`]) over a
/// stream, and the wheel turns by steps.
pub const ALLOWANCE: Duration = Duration::from_millis(400);

// === impl Heartbeat ===

impl Heartbeat {
    /// With bounds that nobody can get below, whatever a definition says.
    pub fn new(interval: Duration, detector: Detector) -> Self {
        let interval = interval.max(INTERVAL_MIN);
        let (detector, deviations) = match detector {
            Detector::Ttl(ttl) => (Detector::Ttl(ttl.max(SILENCE_MIN)), 0.0),
            Detector::Phi(phi) => {
                let phi = Phi {
                    threshold: phi.threshold.max(1),
                    window: phi.window.clamp(Phi::WINDOW_MIN, Phi::WINDOW_MAX),
                    min_deviation: phi.min_deviation.max(Duration::from_millis(1)),
                    acceptable_pause: phi.acceptable_pause,
                    hard_deadline: phi.hard_deadline.max(SILENCE_MIN),
                };
                let deviations = tail::deviations(f64::from(phi.threshold));
                (Detector::Phi(phi), deviations)
            }
        };
        Self { interval, detector, deviations }
    }

    /// How often an instance beats.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Which silence convicts.
    pub fn detector(&self) -> &Detector {
        &self.detector
    }

    /// The longest silence until an instance is convicted, whatever was learned of it.
    pub fn silence_max(&self) -> Duration {
        match &self.detector {
            Detector::Ttl(ttl) => *ttl,
            Detector::Phi(phi) => phi.hard_deadline,
        }
    }

    /// The shortest silence that can convict: of an instance that is as regular as can be.
    pub fn silence_min(&self) -> Duration {
        match &self.detector {
            Detector::Ttl(ttl) => *ttl,
            Detector::Phi(phi) => self.silence(phi, self.interval.as_secs_f64() * 1e3, 0.0),
        }
    }

    /// The silence that convicts an instance whose beats have this mean and deviation, in milliseconds. One that beats more
    /// often than it must is not held to that.
    pub(super) fn silence(&self, phi: &Phi, mean_ms: f64, deviation_ms: f64) -> Duration {
        let mean_ms = mean_ms.max(self.interval.as_secs_f64() * 1e3);
        let deviation_ms = deviation_ms.max(phi.min_deviation.as_secs_f64() * 1e3);
        let learned_ms = mean_ms + self.deviations * deviation_ms;
        // Bounded by the deadline before it becomes a Duration, which cannot hold everything.
        let learned = Duration::from_secs_f64(learned_ms.clamp(0.0, 1e12) / 1e3);
        learned.saturating_add(phi.acceptable_pause).min(phi.hard_deadline)
    }

    /// From the last beat of an instance to the verdict, at the longest. Nobody else is asked: only the instance can say that it
    /// lives.
    pub fn time_to_evict(&self) -> TimeToEvict {
        TimeToEvict { detection: self.silence_max().saturating_add(ALLOWANCE), ..TimeToEvict::default() }
    }

    /// The same of an instance that is as regular as it is asked to be: what is to be expected.
    pub fn time_to_evict_expected(&self) -> Duration {
        self.silence_min().saturating_add(ALLOWANCE)
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::new(INTERVAL, Detector::Ttl(INTERVAL * 3))
    }
}

// === impl Phi ===

impl Phi {
    /// The fewest times between beats from which anything is learned.
    pub const WINDOW_MIN: u16 = 10;
    /// The most that are remembered of one instance.
    pub const WINDOW_MAX: u16 = 200;

    /// What is not said, for beats at this interval: two beats may be lost in a row.
    pub fn of(interval: Duration) -> Self {
        Self {
            threshold: 8,
            window: 100,
            min_deviation: interval / 10,
            acceptable_pause: interval * 2,
            hard_deadline: interval * 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_to_be_expected_is_as_the_page_says() {
        let ttl = Heartbeat::default();
        assert_eq!((ttl.time_to_evict().detection, ttl.silence_min()), (Duration::from_millis(3_400), 3 * SECOND));
        let phi = Heartbeat::new(SECOND, Detector::Phi(Phi::of(SECOND)));
        assert_eq!(phi.silence_min().as_millis(), 3_561, "mean 1 s, pause 2 s, 5.612 deviations of 100 ms");
        assert_eq!(phi.time_to_evict().detection, Duration::from_millis(10_400));
    }

    #[test]
    fn no_definition_convicts_at_once_or_never() {
        let nothing = Phi {
            threshold: 0,
            window: 0,
            min_deviation: Duration::ZERO,
            acceptable_pause: Duration::MAX,
            hard_deadline: Duration::ZERO,
        };
        let phi = Heartbeat::new(Duration::ZERO, Detector::Phi(nothing));
        assert_eq!((phi.interval(), phi.silence_min(), phi.silence_max()), (INTERVAL_MIN, SILENCE_MIN, SILENCE_MIN));
        let ttl = Heartbeat::new(SECOND, Detector::Ttl(Duration::ZERO));
        assert_eq!(ttl.silence_max(), SILENCE_MIN);
        let ever = Heartbeat::new(Duration::MAX, Detector::Ttl(Duration::MAX));
        assert_eq!(ever.time_to_evict().total(), Duration::MAX);
    }
}
