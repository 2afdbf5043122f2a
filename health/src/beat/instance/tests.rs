//! Tests: one instance's life.

use proptest::prelude::*;

use super::*;
use crate::beat::definition::Phi;

const SECOND: Duration = Duration::from_secs(1);

fn ttl() -> Heartbeat {
    Heartbeat::default()
}

fn phi() -> Heartbeat {
    Heartbeat::new(SECOND, Detector::Phi(Phi::of(SECOND)))
}

fn at(ms: u64) -> Now {
    Now { mono_ms: ms, wall_ms: i64::try_from(ms).expect("small") }
}

fn allowance_ms() -> u64 {
    u64::try_from(ALLOWANCE.as_millis()).expect("small")
}

#[test]
fn who_is_silent_is_critical_and_back_with_the_next_beat() {
    let (heartbeat, mut vm) = (ttl(), Instance::new(Life::Unheard, 0, at(0)));
    assert_eq!(vm.evidence().map(|evidence| evidence.health), Some(Health::Unknown));
    let heard = vm.heard(&Said::PASS, &heartbeat, 1_000, true, at(1_000)).expect("news");
    assert_eq!((heard.health, heard.since_ms, &*heard.reason), (Health::Passing, 1_000, "heartbeat heard"));
    assert_eq!(vm.heard(&Said::PASS, &heartbeat, 2_000, true, at(2_000)), None, "the same again is no news");
    assert_eq!(vm.due(&heartbeat), Due { within: 3 * SECOND, interval: SECOND });
    let convicted_ms = 5_000 + allowance_ms();
    assert_eq!(vm.silent(&heartbeat, convicted_ms - 1, at(convicted_ms - 1)), None);
    let silent = vm.silent(&heartbeat, convicted_ms, at(convicted_ms)).expect("news");
    assert_eq!((silent.health, &*silent.reason), (Health::Critical, "no heartbeat for 3.4s"));
    assert_eq!(vm.silent(&heartbeat, 90_000, at(90_000)), None, "told once");
    let back = vm.heard(&Said::PASS, &heartbeat, 100_000, true, at(100_000)).expect("news");
    assert_eq!((back.health, back.since_ms), (Health::Passing, 100_000));
}

#[test]
fn who_was_never_heard_is_unknown_and_what_others_vouch_for_stands_for_a_full_period() {
    let heartbeat = ttl();
    let mut unheard = Instance::new(Life::Unheard, 0, at(0));
    assert_eq!(unheard.silent(&heartbeat, 1_000_000, at(1_000_000)), None);
    let mut vouched = Instance::new(Life::Vouched, 500, at(500));
    assert_eq!(vouched.evidence(), None, "others speak for it");
    assert_eq!(vouched.convicted_ms(&heartbeat), Some(3_500 + allowance_ms()));
    let silent = vouched.silent(&heartbeat, 3_900, at(3_900)).expect("news");
    assert!(silent.reason.ends_with("none since this replica listens"), "{}", silent.reason);
}

#[test]
fn what_an_instance_says_of_itself_is_its_health() {
    let (heartbeat, mut vm) = (ttl(), Instance::new(Life::Unheard, 0, at(0)));
    let mut say = |status, note: &str, ms| {
        let evidence = vm.heard(&Said::new(status, note), &heartbeat, ms, true, at(ms))?;
        Some((evidence.health, evidence.reason.to_string()))
    };
    let told = |health, reason: &str| Some((health, reason.to_owned()));
    assert_eq!(say(Status::Warn, "disk 91 %", 1), told(Health::Warning, "heartbeat says warn: disk 91 %"));
    assert_eq!(say(Status::Fail, "", 2), told(Health::Critical, "heartbeat says fail"));
    assert_eq!(say(Status::Pass, "\u{1b}[31mwell\n", 3), told(Health::Passing, "heartbeat: [31mwell"));
    assert_eq!(say(Status::Stopped, "", 4), told(Health::Critical, "said that it stops"));
    assert_eq!(vm.convicted_ms(&heartbeat), None, "its silence is no news");
    assert_eq!(Said::new(Status::Pass, &"é".repeat(500)).note().map(str::len), Some(NOTE_MAX));
}

#[test]
fn a_note_that_changes_all_the_time_is_not_told_each_time() {
    let (heartbeat, mut vm) = (ttl(), Instance::new(Life::Unheard, 0, at(0)));
    let mut told = 0;
    for second in 0..600_u64 {
        let said = Said::new(Status::Pass, &format!("load {second}"));
        told += u32::from(vm.heard(&said, &heartbeat, second * 1_000, true, at(second * 1_000)).is_some());
    }
    assert_eq!(told, 1, "a note is told when it lasts");
}

#[test]
fn an_interval_that_ends_an_outage_is_not_learned() {
    let (heartbeat, mut vm) = (phi(), Instance::new(Life::Unheard, 0, at(0)));
    (0..200_u64).for_each(|second| drop(vm.heard(&Said::PASS, &heartbeat, second * 1_000, true, at(0))));
    let before = vm.due(&heartbeat);
    assert!(vm.silent(&heartbeat, 400_000, at(0)).is_some_and(|said| said.reason.contains("10^-8")));
    vm.heard(&Said::PASS, &heartbeat, 500_000, true, at(0));
    assert_eq!(vm.due(&heartbeat), before);
}

#[test]
fn who_beats_more_often_than_it_must_is_not_held_to_that() {
    let (heartbeat, mut vm) = (phi(), Instance::new(Life::Unheard, 0, at(0)));
    (0..500_u64).for_each(|beat| drop(vm.heard(&Said::PASS, &heartbeat, beat * 10, true, at(0))));
    assert!(vm.due(&heartbeat).within >= heartbeat.silence_min());
}

/// SplitMix64 (Steele, Lea and Flood, 2014): a seed is a trace, on every machine.
struct Seeded(u64);

impl Seeded {
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Near the normal distribution: the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.fraction()).sum::<f64>() - 6.0
    }
}

/// The seed of the trace below.
const SEED: u64 = 20_261_128;

/// When the beats of an hour arrive, in milliseconds: one each second on a network with 60 ms of jitter, on which each
/// hundredth beat is late by up to 0.9 s (a collection of garbage, a retransmission) and each three-hundredth is lost.
fn an_hour() -> Vec<u64> {
    let mut random = Seeded(SEED);
    let mut arrivals: Vec<u64> = (1..=3_600_u64)
        .filter_map(|second| {
            let late = if random.fraction() < 0.01 { random.fraction() * 900.0 } else { 0.0 };
            let lost = random.fraction() < 1.0 / 300.0;
            let arrives = second as f64 * 1e3 + random.normal().abs() * 60.0 + late;
            (!lost).then_some(arrives as u64)
        })
        .collect();
    arrivals.sort_unstable();
    arrivals
}

#[test]
fn an_hour_of_a_jittery_trace_convicts_nobody_and_a_death_in_it_is_noticed_within_5_s() {
    let (heartbeat, mut vm) = (phi(), Instance::new(Life::Unheard, 0, at(0)));
    let (mut longest_gap_ms, mut slowest_ms, mut before_ms) = (0, 0, 1_000);
    for arrival in an_hour() {
        assert_eq!(vm.silent(&heartbeat, arrival, at(arrival)), None, "seed {SEED}: convicted at {arrival}");
        vm.heard(&Said::PASS, &heartbeat, arrival, true, at(arrival));
        // If this was the last one:
        let convicted_ms = vm.convicted_ms(&heartbeat).expect("alive");
        slowest_ms = slowest_ms.max(convicted_ms - arrival);
        longest_gap_ms = longest_gap_ms.max(arrival - before_ms);
        before_ms = arrival;
    }
    println!(
        "seed {SEED}: longest silence of the living {longest_gap_ms} ms, slowest conviction of the dead {slowest_ms} ms"
    );
    assert!(longest_gap_ms > 1_900, "the trace is jittery: {longest_gap_ms}");
    assert!(slowest_ms < 5_000, "seed {SEED}: {slowest_ms} ms");
}

proptest! {
    #[test]
    fn silence_convicts_once_at_its_time_and_never_a_beat_later(
        gaps in proptest::collection::vec(1_u64..20_000, 1..200),
        learned in proptest::bool::ANY,
        wall in proptest::collection::vec(proptest::num::i64::ANY, 200),
    ) {
        let heartbeat = if learned { phi() } else { ttl() };
        let mut vm = Instance::new(Life::Vouched, 0, at(0));
        let mut now_ms = 0;
        for (gap, wall_ms) in gaps.into_iter().zip(wall) {
            // The wall clock jumps as it likes.
            let now = |mono_ms| Now { mono_ms, wall_ms };
            let convicted_ms = vm.convicted_ms(&heartbeat).expect("it may be convicted");
            let silence_ms = convicted_ms - now_ms - allowance_ms();
            prop_assert!((3_000..=10_000).contains(&silence_ms), "{silence_ms}");
            now_ms += gap;
            prop_assert_eq!(vm.silent(&heartbeat, now_ms.min(convicted_ms - 1), now(now_ms)), None, "before its time");
            let silent = vm.silent(&heartbeat, now_ms, now(now_ms));
            prop_assert_eq!(silent.is_some(), now_ms >= convicted_ms);
            let later = vm.clone().silent(&heartbeat, now_ms + 1_000_000, now(now_ms));
            prop_assert_eq!(later.is_some(), silent.is_none(), "once, and for sure");
            vm.heard(&Said::PASS, &heartbeat, now_ms, true, now(now_ms));
            prop_assert_eq!(vm.evidence().map(|evidence| evidence.health), Some(Health::Passing));
        }
    }
}
