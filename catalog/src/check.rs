//! From probe results to verdicts: the state machine of one check, and the verdict of all checks of an endpoint.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::input::Verdict;
use crate::model::{Health, Name};

/// How many results in a row decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Failures until Critical, at least 1.
    pub failures: u8,
    /// Successes until Passing, at least 1.
    pub successes: u8,
}

/// What one probe found, with what it saw in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Success(Name),
    /// Not as it should be, or no answer in time.
    Failure(Name),
}

/// The state of one check on one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckState {
    health: Health,
    since_ms: i64,
    reason: Name,
    /// Results in a row that speak against `health`.
    contrary: u8,
}

/// When a check is due next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At once: a failure is doubted, and asked again before it counts for more.
    Repeat,
    /// At the next point of its phase.
    Interval,
}

// === impl Thresholds ===

impl Default for Thresholds {
    fn default() -> Self {
        Self { failures: 2, successes: 1 }
    }
}

// === impl CheckState ===

impl CheckState {
    /// A check that has not run: Unknown, so its endpoint is not given to callers before the first success.
    pub fn unknown(now_ms: i64) -> Self {
        Self { health: Health::Unknown, since_ms: now_ms, reason: "not checked yet".into(), contrary: 0 }
    }

    /// A check that an earlier process decided: that verdict stands until results speak against it.
    pub fn restored(verdict: &Verdict) -> Self {
        Self { health: verdict.health, since_ms: verdict.since_ms, reason: Name::clone(&verdict.reason), contrary: 0 }
    }

    /// What it is decided to be.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Takes in a result; says when to ask again.
    pub fn observe(&mut self, outcome: &Outcome, thresholds: Thresholds, now_ms: i64) -> Next {
        let (target, needed, saw) = match outcome {
            Outcome::Success(saw) => (Health::Passing, thresholds.successes, saw),
            Outcome::Failure(saw) => (Health::Critical, thresholds.failures, saw),
        };
        if self.health == target {
            self.contrary = 0;
            return Next::Interval;
        }
        self.contrary = self.contrary.saturating_add(1);
        if self.contrary < needed.max(1) {
            return match outcome {
                Outcome::Failure(_) => Next::Repeat,
                Outcome::Success(_) => Next::Interval,
            };
        }
        *self = Self { health: target, since_ms: now_ms, reason: Name::clone(saw), contrary: 0 };
        Next::Interval
    }
}

/// The verdict of all checks of an endpoint: the worst of them, and of equals the first. `None` without checks.
pub fn decide<'a>(checks: impl IntoIterator<Item = &'a CheckState>) -> Option<Verdict> {
    let rank = |health| match health {
        Health::Critical => 4,
        Health::Unknown => 3,
        Health::Maintenance => 2,
        Health::Warning => 1,
        Health::Passing => 0,
    };
    let worst = checks
        .into_iter()
        .reduce(|worst, check| if rank(check.health) > rank(worst.health) { check } else { worst })?;
    Some(Verdict { health: worst.health, since_ms: worst.since_ms, reason: Name::clone(&worst.reason) })
}

/// Where in its interval a check runs: fixed by a hash of its id, so that a restart causes no storm.
pub fn phase(id: &str, interval: Duration) -> Duration {
    let interval_us = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(xxh3_64(id.as_bytes()) % interval_us)
}

/// The longest time until a check turns Critical after its target died: one interval until it is asked, and as many
/// timeouts as failures are needed, since a failure is repeated at once.
pub fn time_to_decide(interval: Duration, timeout: Duration, thresholds: Thresholds) -> Duration {
    interval + timeout * u32::from(thresholds.failures.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_ONE: Thresholds = Thresholds { failures: 2, successes: 1 };

    fn ok() -> Outcome {
        Outcome::Success("answered 200".into())
    }

    fn bad() -> Outcome {
        Outcome::Failure("answered 503".into())
    }

    fn passing() -> CheckState {
        let mut check = CheckState::unknown(0);
        check.observe(&ok(), TWO_ONE, 1);
        check
    }

    fn health(check: &CheckState) -> (Health, i64) {
        let verdict = decide([check]).expect("one check");
        (verdict.health, verdict.since_ms)
    }

    #[test]
    fn one_failure_is_repeated_at_once_and_two_decide() {
        let mut check = passing();
        assert_eq!(check.observe(&bad(), TWO_ONE, 5), Next::Repeat);
        assert_eq!(health(&check), (Health::Passing, 1));
        assert_eq!(check.observe(&bad(), TWO_ONE, 6), Next::Interval);
        assert_eq!(health(&check), (Health::Critical, 6));
    }

    #[test]
    fn a_success_in_between_starts_the_count_again() {
        let mut check = passing();
        for now in 0..10 {
            check.observe(&bad(), TWO_ONE, now);
            check.observe(&ok(), TWO_ONE, now);
        }
        assert_eq!(health(&check), (Health::Passing, 1));
    }

    #[test]
    fn a_restored_verdict_stands_until_results_speak_against_it() {
        let before = Verdict { health: Health::Critical, since_ms: 77, reason: "refused".into() };
        let mut check = CheckState::restored(&before);
        check.observe(&bad(), TWO_ONE, 100);
        assert_eq!(decide([&check]), Some(before));
        check.observe(&ok(), TWO_ONE, 101);
        assert_eq!(health(&check), (Health::Passing, 101));
    }

    #[test]
    fn the_worst_check_decides() {
        let (good, new) = (passing(), CheckState::unknown(9));
        assert_eq!(decide([&good, &new]).map(|verdict| verdict.health), Some(Health::Unknown));
        assert_eq!(decide([]), None);
    }

    #[test]
    fn phases_spread_over_the_interval_and_never_change() {
        let interval = Duration::from_secs(1);
        let phases: Vec<_> = (0..10_000).map(|n| phase(&format!("shop/vm/{n}"), interval)).collect();
        let first_half = phases.iter().filter(|phase| **phase < interval / 2).count();
        assert!((4_800..5_200).contains(&first_half), "{first_half} of 10,000 in the first half");
        assert_eq!(phases[7], phase("shop/vm/7", interval));
    }
}
