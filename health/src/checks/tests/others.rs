//! Tests: others that are asked, and whose word counts.

use super::*;

/// The health of an endpoint that passed, after two failures in a row, and whether a peer is asked about it.
fn judged(others: Option<u8>) -> (Option<Health>, bool) {
    let mut driver = Driver::new(8);
    driver.checks = Checks::of("a".into(), 8);
    driver.checks.stand(Standing::of([Name::from("a")], [Name::from("b")]), driver.now);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    if let Some(others) = others {
        driver.checks.ask_others(&origin("vms"), others, &[].into());
    }
    for (outcome, then_ms) in [(ok(), 60_000), (bad(), 10), (bad(), 10)] {
        driver.start();
        driver.finish(&outcome);
        driver.sleep(then_ms);
    }
    let health = driver.health();
    let told = std::iter::from_fn(|| driver.checks.take_telling()).collect::<Vec<_>>();
    (health, told.iter().any(|telling| matches!(telling, Telling::Doubt(..))))
}

#[test]
fn as_many_others_are_asked_as_the_policy_says() {
    assert_eq!(judged(None), (Some(Health::Passing), true), "in doubt as long as they have not answered");
    assert_eq!(judged(Some(1)), (Some(Health::Passing), true));
    assert_eq!(judged(Some(0)), (Some(Health::Critical), false), "nobody is asked");
}

#[test]
fn whose_word_counts_and_from_where_it_looked_is_told() {
    let mut driver = Driver::new(8);
    driver.checks = Checks::of("a".into(), 8);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.start();
    driver.finish(&ok());
    let accounts = driver.checks.accounts(&origin("vms"));
    let [account] = &*accounts else { panic!("{accounts:?}") };
    assert_eq!((&*account.endpoint, &*account.judge), ("vm-1", "a"));
    let [(witness, evidence)] = &*account.said else { panic!("{account:?}") };
    assert_eq!(witness.vantage, Vantage::Address("198.51.100.1:80".parse().expect("an address")));
    assert_eq!((&*witness.name, evidence.health), ("web", Health::Passing));
}

#[test]
fn what_nothing_checks_asks_for_nothing_until_something_does() {
    let mut driver = Driver::new(8);
    driver.checks = Checks::of("a".into(), 8);
    driver.checks.stand(Standing::of(["a", "b"].map(Name::from), [Name::from("b")]), driver.now);
    driver.plan(plan("198.51.100.1", &[]));
    assert_eq!(driver.checks.next_ms(), None, "nobody covers it, and nobody has to");
    driver.plan(plan("198.51.100.1", &[check("port")]));
    assert!(driver.checks.next_ms().is_some(), "somebody has to probe it");
    driver.checks.forget(&origin("vms"));
    assert_eq!(driver.checks.next_ms(), None, "its reminders go with it");
}

#[test]
fn who_has_just_begun_takes_nothing_from_callers_by_its_own_word_before_it_can_have_found_others() {
    let mut driver = Driver::new(8);
    driver.checks = Checks::of("a".into(), 8);
    driver.plan(plan("198.51.100.1", &[]));
    assert_eq!(driver.plan(plan("198.51.100.1", &[check("web")])), Some(Health::Passing), "callers have it");
    while driver.now.mono_ms < 1_900 {
        if !driver.start().is_empty() {
            driver.finish(&bad());
        }
        assert_eq!(driver.health(), Some(Health::Passing), "after {} ms", driver.now.mono_ms);
        driver.sleep(100);
    }
    // Nobody is there: its own word it is.
    for _ in 0..100 {
        if !driver.start().is_empty() {
            driver.finish(&bad());
        }
        driver.sleep(100);
    }
    assert_eq!(driver.health(), Some(Health::Critical));
}

#[test]
fn whom_it_finds_then_is_asked() {
    let mut driver = Driver::new(8);
    driver.checks = Checks::of("a".into(), 8);
    driver.plan(plan("198.51.100.1", &[]));
    driver.plan(plan("198.51.100.1", &[check("web")]));
    for ms in [10, 10] {
        driver.start();
        driver.finish(&bad());
        driver.sleep(ms);
    }
    driver.checks.stand(Standing::of(["a", "b"].map(Name::from), [Name::from("b")]), driver.now);
    for _ in 0..100 {
        if !driver.start().is_empty() {
            driver.finish(&bad());
        }
        driver.sleep(100);
        let told = std::iter::from_fn(|| driver.checks.take_telling()).collect::<Vec<_>>();
        if told.iter().any(|telling| matches!(telling, Telling::Doubt(_, Some(_)))) {
            assert_eq!(driver.health(), Some(Health::Passing), "as long as b has not answered");
            return;
        }
    }
    panic!("nobody is asked");
}
