//! Tests: from results in a row to the health of one check.

use proptest::prelude::*;

use super::*;

const TWO_ONE: Thresholds = Thresholds { failures: 2, successes: 1 };

fn ok() -> Outcome {
    Outcome::Success("answered 200".into())
}

fn bad() -> Outcome {
    Outcome::Failure("answered 503".into())
}

fn warns() -> Outcome {
    Outcome::Warning("answered 429".into())
}

fn ours() -> Outcome {
    Outcome::LocalFault(crate::outcome::LocalFault::Descriptors, "too many open files".into())
}

fn at(ms: u64) -> Now {
    Now { mono_ms: ms, wall_ms: i64::try_from(ms).expect("small") }
}

fn passing() -> CheckState {
    let mut check = CheckState::unknown(at(0));
    check.observe(&ok(), TWO_ONE, at(1));
    check
}

fn health(check: &CheckState) -> (Health, i64) {
    (check.health, check.since_ms)
}

#[test]
fn a_first_failure_is_repeated_at_once_and_further_ones_after_the_retry_interval() {
    let ten = Thresholds { failures: 10, successes: 1 };
    let mut check = passing();
    let next: Vec<_> = (2..12).map(|ms| check.observe(&bad(), ten, at(ms))).collect();
    assert_eq!(next[0], Next::Repeat);
    assert!(next[1..9].iter().all(|next| *next == Next::Retry), "{next:?}");
    assert_eq!((next[9], health(&check)), (Next::Interval, (Health::Critical, 11)));
}

#[test]
fn a_success_in_between_starts_the_count_again() {
    let mut check = passing();
    for ms in 0..10 {
        check.observe(&bad(), TWO_ONE, at(ms));
        check.observe(&ok(), TWO_ONE, at(ms));
    }
    assert_eq!(health(&check), (Health::Passing, 1));
}

#[test]
fn kinds_never_mix_while_nothing_is_decided() {
    let seen = |results: &[Outcome], thresholds| {
        let mut check = CheckState::unknown(at(0));
        for outcome in results {
            check.observe(outcome, thresholds, at(1));
        }
        check.health
    };
    assert_eq!(seen(&[bad(), ok()], Thresholds { failures: 2, successes: 2 }), Health::Unknown);
    assert_eq!(seen(&[ok(), ok(), bad()], Thresholds { failures: 3, successes: 5 }), Health::Unknown);
    let alternating: Vec<_> = (0..100).map(|n| if n % 2 == 0 { ok() } else { bad() }).collect();
    assert_eq!(seen(&alternating, Thresholds { failures: 3, successes: 3 }), Health::Unknown);
}

#[test]
fn who_never_passed_is_asked_often_and_who_did_at_his_interval() {
    let mut check = CheckState::unknown(at(0));
    assert_eq!(check.observe(&bad(), TWO_ONE, at(1)), Next::Repeat);
    assert_eq!(check.observe(&bad(), TWO_ONE, at(2)), Next::Await(2));
    assert_eq!(check.observe(&bad(), TWO_ONE, at(3)), Next::Await(3));
    assert_eq!(check.observe(&ok(), TWO_ONE, at(4)), Next::Interval);
    check.observe(&bad(), TWO_ONE, at(5));
    assert_eq!(check.observe(&bad(), TWO_ONE, at(6)), Next::Interval);
}

#[test]
fn a_local_fault_is_no_result() {
    let mut check = passing();
    check.observe(&bad(), TWO_ONE, at(2));
    for ms in 3..100 {
        assert_eq!(check.observe(&ours(), TWO_ONE, at(ms)), Next::Retry);
    }
    assert_eq!(health(&check), (Health::Passing, 1));
    check.observe(&bad(), TWO_ONE, at(100));
    assert_eq!(health(&check), (Health::Critical, 100), "nor does it end a row");
    let mut new = CheckState::unknown(at(0));
    new.observe(&ours(), TWO_ONE, at(1));
    assert_eq!(&*new.evidence().reason, "too many open files", "who waits is told why");
}

#[test]
fn a_warning_is_callable_and_no_failure() {
    let mut check = passing();
    assert_eq!(check.observe(&warns(), TWO_ONE, at(2)), Next::Interval);
    assert_eq!(check.health, Health::Passing, "one alone is no transition where two failures would be needed");
    check.observe(&warns(), TWO_ONE, at(3));
    assert_eq!(health(&check), (Health::Warning, 3));
    check.observe(&ok(), TWO_ONE, at(4));
    assert_eq!(health(&check), (Health::Passing, 4));
    let mut critical = CheckState::inherited(Health::Critical, 1, "refused".into());
    let two_two = Thresholds { failures: 2, successes: 2 };
    critical.observe(&warns(), two_two, at(2));
    critical.observe(&ok(), two_two, at(3));
    assert_eq!(health(&critical), (Health::Passing, 3), "both are no failure, so they come back");
}

#[test]
fn a_new_check_is_taken_for_what_its_owner_wrote() {
    let mut check = CheckState::initial(Health::Passing, at(1));
    assert_eq!(check.health, Health::Passing);
    assert_eq!(&*check.evidence().reason, "Passing by its initialStatus; not checked yet");
    check.observe(&bad(), TWO_ONE, at(2));
    check.observe(&bad(), TWO_ONE, at(3));
    assert_eq!(check.health, Health::Critical, "and results decide as ever");
    assert_eq!(CheckState::initial(Health::Unknown, at(1)), CheckState::unknown(at(1)));
    let mut critical = CheckState::initial(Health::Critical, at(1));
    assert_eq!(
        critical.observe(&bad(), TWO_ONE, at(2)),
        Next::Await(1),
        "asked often until it passes for the first time"
    );
}

#[test]
fn an_inherited_health_stands_until_results_speak_against_it() {
    let mut check = CheckState::inherited(Health::Critical, 77, "refused".into());
    check.observe(&bad(), TWO_ONE, at(100));
    assert_eq!(health(&check), (Health::Critical, 77));
    assert_eq!(&*check.evidence().reason, "answered 503", "in the words of the latest result");
    check.observe(&ok(), TWO_ONE, at(101));
    assert_eq!(health(&check), (Health::Passing, 101));
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![4 => Just(ok()), 4 => Just(bad()), 2 => Just(warns()), 1 => Just(ours())]
}

proptest! {
    /// Against a model that counts from the whole history: a transition has its whole threshold of results behind it, all of
    /// one kind, with nothing but local faults between them.
    #[test]
    fn no_threshold_is_skipped_and_none_is_overrun(
        results in prop::collection::vec((outcome(), any::<i64>()), 1..200),
        failures in 1_u8..=10,
        successes in 1_u8..=10,
    ) {
        let thresholds = Thresholds { failures, successes };
        let mut check = CheckState::unknown(at(0));
        let mut history: Vec<Health> = Vec::new();
        for (mono_ms, (outcome, wall_ms)) in results.iter().enumerate() {
            let before = check.clone();
            let now = Now { mono_ms: mono_ms as u64, wall_ms: *wall_ms };
            check.observe(outcome, thresholds, now);
            match outcome {
                Outcome::Success(_) => history.push(Health::Passing),
                Outcome::Warning(_) => history.push(Health::Warning),
                Outcome::Failure(_) => history.push(Health::Critical),
                Outcome::LocalFault(..) => prop_assert_eq!(health(&check), health(&before)),
            }
            let callable = before.health.is_callable();
            let row = history.iter().rev().take_while(|result| Some(*result) == history.last()).count();
            let fine = history.iter().rev().take_while(|result| **result != Health::Critical).count();
            let enough = match history.last() {
                Some(Health::Critical) => row >= usize::from(failures),
                Some(Health::Warning) if callable => row >= usize::from(failures),
                Some(Health::Passing) if callable => row >= usize::from(successes),
                Some(_) => fine >= usize::from(successes),
                None => false,
            };
            let expected = history.last().copied().filter(|_| enough).unwrap_or(before.health);
            prop_assert_eq!(check.health, expected);
            // Since when: the wall clock at the transition, wherever it jumped, and nothing else moves it.
            let since = if check.health == before.health { before.since_ms } else { *wall_ms };
            prop_assert_eq!(check.since_ms, since);
        }
    }
}
