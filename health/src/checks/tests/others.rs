//! Tests: others that are asked, and whose word counts.

use super::*;

/// The health of an endpoint that passed, after two failures in a row, and whether a peer is asked about it.
fn judged(others: Option<u8>) -> (Option<Health>, bool) {
    let mut driver = Driver::new(8);
    driver.checks = Checks::of("a".into(), 8);
    let (live, heard) = ([Name::from("a")].into(), [Name::from("b")].into());
    driver.checks.stand(Standing { live, heard }, driver.now);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    if let Some(others) = others {
        driver.checks.ask_others(&origin("vms"), others);
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
