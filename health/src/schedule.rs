//! When a check is due: phases, repeats, and the time to evict that follows.

use std::time::Duration;

use rollcall_catalog::evict::TimeToEvict;
use rollcall_catalog::time::Now;
use xxhash_rust::xxh3::xxh3_64;

use crate::definition::Check;
use crate::state::Next;

/// Failures of a check that has never passed, for each of which the wait grows by one retry interval.
const AWAIT_STEP: u32 = 60;

/// What others who are asked have beyond the check's timeout, for the way there and back.
pub const CONFIRMATION_MARGIN: Duration = Duration::from_millis(crate::confirmation::MARGIN_MS);

/// Where in its interval a check runs: fixed by a hash of its id, so that a restart causes no storm.
pub fn phase(id: &str, interval: Duration) -> Duration {
    Duration::from_micros(xxh3_64(id.as_bytes()) % micros(interval).max(1))
}

/// From `now` to the next point of a phase; never more than an interval, whatever the wall clock does.
pub fn until(phase: Duration, interval: Duration, now: Now) -> Duration {
    let interval_us = micros(interval).max(1);
    let now_us = u64::try_from(now.wall_ms).unwrap_or(0).wrapping_mul(1000);
    let into = now_us.wrapping_add(interval_us).wrapping_sub(micros(phase) % interval_us) % interval_us;
    Duration::from_micros(interval_us - into)
}

/// From `now` to the next probe of a check whose last one began at `began_ms` of the monotonic clock.
pub fn delay(next: Next, check: &Check, phase: Duration, began_ms: u64, now: Now) -> Duration {
    let since = Duration::from_millis(now.mono_ms.saturating_sub(began_ms));
    let after_start = |wait: Duration| wait.saturating_sub(since);
    match next {
        Next::Repeat => Duration::ZERO,
        Next::Retry => after_start(check.retry_interval),
        Next::Await(failures) => {
            let grown = check.retry_interval * (1 + u32::from(failures) / AWAIT_STEP);
            after_start(grown.min(check.interval.max(check.retry_interval)))
        }
        Next::Interval => until(phase, check.interval, now),
    }
}

/// The longest time from the death of a target to the verdict: one interval until it is asked, one timeout for each of the
/// first two failures, since the first is repeated at once, and for each further one the retry interval, or the timeout
/// if that is longer.
///
/// Others are asked together with the last repeat, or after the only failure: they have as long as the check, and
/// [`CONFIRMATION_MARGIN`] more for the way.
pub fn time_to_evict(check: &Check) -> TimeToEvict {
    let failures = u32::from(check.thresholds.failures.max(1));
    let further = failures.saturating_sub(2);
    let detection =
        check.interval + check.timeout * failures.min(2) + check.retry_interval.max(check.timeout) * further;
    let asked_after = if failures == 1 { check.timeout } else { Duration::ZERO };
    TimeToEvict { detection, confirmation: asked_after + CONFIRMATION_MARGIN, lateness: Duration::ZERO }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{CheckKind, Tcp, Thresholds};

    fn check(interval_s: u64, failures: u8) -> Check {
        Check {
            interval: Duration::from_secs(interval_s),
            timeout: Duration::from_millis(500),
            thresholds: Thresholds { failures, successes: 1 },
            ..Check::new("web", CheckKind::Tcp(Tcp::default()))
        }
    }

    #[test]
    fn phases_spread_over_the_interval_and_never_change() {
        let interval = Duration::from_secs(1);
        let phases: Vec<_> = (0..10_000).map(|n| phase(&format!("shop/vm/{n}"), interval)).collect();
        let first_half = phases.iter().filter(|phase| **phase < interval / 2).count();
        assert!((4_800..5_200).contains(&first_half), "{first_half} of 10,000 in the first half");
        assert_eq!(phases[7], phase("shop/vm/7", interval));
    }

    #[test]
    fn after_a_restart_the_busiest_second_is_near_the_mean() {
        let interval = Duration::from_secs(10);
        let mut seconds = [0_u32; 10];
        for n in 0..50_000 {
            let delay =
                until(phase(&format!("shop/vms/vm-{n}"), interval), interval, Now { mono_ms: 0, wall_ms: 1_234_567 });
            seconds[usize::try_from(delay.as_micros().saturating_sub(1) / 1_000_000).expect("within the interval")] +=
                1;
        }
        assert!(seconds.iter().all(|second| *second <= 6_000), "1.2 x the mean of 5,000 is passed: {seconds:?}");
    }

    #[test]
    fn the_next_probe_is_within_an_interval_wherever_the_wall_clock_jumps() {
        let interval = Duration::from_secs(10);
        for wall_ms in [i64::MIN, -1, 0, 1, 1_700_000_000_000, i64::MAX] {
            let wait = until(Duration::from_secs(3), interval, Now { mono_ms: 7, wall_ms });
            assert!(!wait.is_zero() && wait <= interval, "{wait:?} at {wall_ms}");
        }
    }

    #[test]
    fn a_retry_is_counted_from_the_start_of_the_last_probe() {
        let (check, now) = (check(10, 3), Now { mono_ms: 5_400, wall_ms: 0 });
        assert_eq!(delay(Next::Repeat, &check, Duration::ZERO, 5_000, now), Duration::ZERO);
        assert_eq!(delay(Next::Retry, &check, Duration::ZERO, 5_000, now), Duration::from_millis(600));
        assert_eq!(
            delay(Next::Retry, &check, Duration::ZERO, 1_000, now),
            Duration::ZERO,
            "a slow one is repeated at once"
        );
    }

    #[test]
    fn who_never_passed_is_asked_often_at_first_and_never_less_than_by_its_interval() {
        let now = Now { mono_ms: 0, wall_ms: 0 };
        let wait = |failures| delay(Next::Await(failures), &check(10, 2), Duration::ZERO, 0, now).as_secs();
        assert_eq!([2, 59, 60, 300, 6_000, u16::MAX].map(wait), [1, 1, 2, 6, 10, 10]);
    }

    #[test]
    fn the_threshold_buys_the_time_that_it_says() {
        let evict = |failures| {
            let terms = time_to_evict(&check(5, failures));
            (terms.detection.as_millis(), terms.confirmation.as_millis())
        };
        assert_eq!([1, 2, 3, 10].map(evict), [(5_500, 1_000), (6_000, 500), (7_000, 500), (14_000, 500)]);
    }
}
