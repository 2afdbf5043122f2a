//! Tests: a registration none of whose checks can be run any more.

use super::*;

/// The plan after a slip: none of its checks can be run.
fn stuck(ips: &str) -> Plan {
    let mut plan = plan(ips, &[]);
    plan.endpoints[0].unchecked = false;
    Plan { stuck: vec!["web".into()], ..plan }
}

#[test]
fn where_no_check_can_be_run_any_more_the_last_that_could_go_on() {
    let mut driver = Driver::new(8);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.start();
    assert_eq!(driver.finish(&ok()), Some(Health::Passing));
    assert_eq!(driver.plan(stuck("198.51.100.1")), Some(Health::Passing));
    for _ in 0..3 {
        driver.sleep(60_000);
        driver.start();
        driver.finish(&bad());
    }
    let health = |driver: &Driver| driver.verdict().map(|verdict| verdict.health);
    assert_eq!(health(&driver), Some(Health::Critical), "a machine that dies meanwhile goes");
    // Said once more, and mended.
    assert_eq!(driver.plan(stuck("198.51.100.1")), Some(Health::Critical));
    assert_eq!(driver.plan(plan("198.51.100.1", &[check("web")])), Some(Health::Critical));
    assert_eq!(driver.plan(stuck("198.51.100.9")), None, "another machine has to prove itself");
}

#[test]
fn where_no_check_can_be_run_what_nobody_checked_and_what_a_status_knew_stands() {
    let mut driver = Driver::new(8);
    driver.plan(plan("198.51.100.1", &[]));
    for _ in 0..2 {
        assert_eq!(driver.plan(stuck("198.51.100.1")), Some(Health::Passing), "a first check with a slip");
    }
    for known in [Health::Passing, Health::Critical] {
        let mut driver = Driver::new(8);
        let plan = Plan { restored: restored(known, &[("other", known)]), ..stuck("198.51.100.1") };
        assert_eq!(driver.plan(plan), Some(known), "known by the process before");
        assert_eq!(driver.plan(stuck("198.51.100.1")), Some(known), "and said once more");
        assert!(driver.start().is_empty(), "there is nothing to probe");
    }
    assert_eq!(Driver::new(8).plan(stuck("198.51.100.1")), None, "a new one was never judged");
}
