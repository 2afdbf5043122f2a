//! Tests: delays between attempts.

use std::time::Duration;

use super::Backoff;

const MIN: Duration = Duration::from_millis(100);
const MAX: Duration = Duration::from_secs(5);

#[test]
fn delays_double_up_to_the_bound() {
    let mut backoff = Backoff::new(MIN, MAX);
    let millis: Vec<_> = (0..8).map(|_| backoff.next(1.0).as_millis()).collect();
    assert_eq!(millis, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
}

#[test]
fn the_first_retry_may_be_immediate_and_later_ones_are_not() {
    let mut backoff = Backoff::new(MIN, MAX);
    let millis: Vec<_> = (0..3).map(|_| backoff.next(0.0).as_millis()).collect();
    assert_eq!(millis, [0, 100, 200]);
}

#[test]
fn a_good_stream_starts_over() {
    let mut backoff = Backoff::new(MIN, MAX);
    (0..100).for_each(|_| _ = backoff.next(1.0));
    backoff.reset();
    assert_eq!(backoff.next(1.0), MIN);
}
