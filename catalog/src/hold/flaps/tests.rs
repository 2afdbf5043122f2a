//! Tests: how penalties add up and decay.

use std::time::Duration;

use super::*;

const DAMPING: Damping = Damping {
    penalty: 1000,
    half_life: Duration::from_secs(60),
    suppress: 3000,
    reuse: 1000,
    maximum: Duration::from_secs(180),
};

fn at(s: u64) -> Now {
    Now { mono_ms: s * 1_000, wall_ms: s as i64 * 1_000 }
}

/// An endpoint that fell at these seconds.
fn fallen(seconds: impl IntoIterator<Item = u64>) -> Flaps {
    let mut flaps = Flaps::default();
    for s in seconds {
        flaps.records.entry(EndpointId(1)).or_insert_with(|| Flap::new(at(s))).fall(&DAMPING, at(s));
        flaps.tend(&DAMPING, at(s));
    }
    flaps
}

#[test]
fn a_penalty_halves_with_each_half_life() {
    let flaps = fallen([0]);
    for (s, penalty) in [(0, 1000.0), (60, 500.0), (120, 250.0), (180, 125.0)] {
        let flap = &flaps.records[&EndpointId(1)];
        assert!((flap.decayed(&DAMPING, s * 1_000) - penalty).abs() < 0.001, "at {s} s");
    }
}

#[test]
fn however_often_it_fell_it_is_out_for_the_maximum_at_most() {
    let mut flaps = fallen((0..1000).map(|n| n * 3));
    let last = 999 * 3;
    assert!(flaps.records[&EndpointId(1)].damped);
    let until_ms = flaps.next_ms(&DAMPING).expect("it is looked at again");
    assert!(until_ms <= (last + 180) * 1_000 + 1, "{until_ms}");
    flaps.tend(&DAMPING, Now { mono_ms: until_ms - 10, wall_ms: 0 });
    assert!(flaps.records[&EndpointId(1)].damped);
    flaps.tend(&DAMPING, Now { mono_ms: until_ms, wall_ms: 0 });
    assert!(!flaps.records[&EndpointId(1)].damped);
}

#[test]
fn what_is_told_moves_by_a_quarter_at_least() {
    let (mut flaps, mut told) = (Flaps::default(), Vec::new());
    for s in (0..600).step_by(6) {
        let flap = flaps.records.entry(EndpointId(1)).or_insert_with(|| Flap::new(at(s)));
        flap.fall(&DAMPING, at(s));
        told.push(flap.shown);
        flaps.tend(&DAMPING, at(s));
    }
    told.dedup();
    assert!(told.len() < 40, "{} of 100 falls were told", told.len());
}

#[test]
fn a_fall_long_ago_is_forgotten() {
    let mut flaps = fallen([0]);
    let until_ms = flaps.next_ms(&DAMPING).expect("it is looked at again");
    assert_eq!(until_ms, 60_001);
    assert_eq!(flaps.age(Now { mono_ms: until_ms, wall_ms: 0 }), None);
    assert!(flaps.is_empty());
}
