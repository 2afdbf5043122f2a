//! Tests: checks that run on the endpoint's machine, beside its heartbeat.

use super::*;
use crate::beat::machine::Judged;
use crate::ledger::Evidence;

fn evidence(driver: &Driver, health: Health, reason: &str) -> Evidence {
    Evidence { health, since_ms: driver.now.wall_ms, reason: reason.into() }
}

/// A beat that says this of the checks on the machine; the verdict, if that changed.
fn beat(driver: &mut Driver, checks: &[(&str, Health)]) -> Option<Verdict> {
    let judged = |(name, health): &(&str, Health)| Judged {
        name: (*name).into(),
        evidence: evidence(driver, *health, &format!("check {name}: {health}")),
    };
    let said: Vec<_> = checks.iter().map(judged).collect();
    let heard = evidence(driver, Health::Passing, "heartbeat heard");
    driver.checks.beat(&origin("vms"), &"vm-1".into(), heard, Some(&said), driver.now)?.verdict
}

fn said(verdict: &Verdict) -> Vec<(&str, Health, bool)> {
    verdict.checks.iter().map(|check| (&*check.name, check.health, check.on_machine)).collect()
}

#[test]
fn each_check_on_the_machine_speaks_for_itself_and_the_worst_decides() {
    let mut driver = Driver::new(8);
    driver.plan(beating(plan("198.51.100.1", &[])));
    let first = beat(&mut driver, &[("disk", Health::Unknown), ("queue", Health::Passing)]).expect("a change");
    assert_eq!(first.health, Health::Unknown, "nobody knows of its disk yet");
    let full = beat(&mut driver, &[("disk", Health::Critical), ("queue", Health::Passing)]).expect("a change");
    assert_eq!((full.health, &*full.reason), (Health::Critical, "check disk: Critical"));
    let beats = ("heartbeat", Health::Passing, false);
    assert_eq!(said(&full), [("disk", Health::Critical, true), beats, ("queue", Health::Passing, true)]);
    // An agent that begins anew: what it knew stands until it knows otherwise.
    assert_eq!(beat(&mut driver, &[("disk", Health::Unknown), ("queue", Health::Passing)]), None);
    let one_less = beat(&mut driver, &[("disk", Health::Passing)]).expect("a change");
    assert_eq!((one_less.health, said(&one_less)), (Health::Passing, vec![("disk", Health::Passing, true), beats]));
    let accounts = driver.checks.accounts(&origin("vms"));
    assert_eq!(accounts[0].said[0].0.vantage, Vantage::Machine);
    // A beat that says nothing of them changes nothing of them.
    let heard = evidence(&driver, Health::Passing, "heartbeat heard");
    assert_eq!(driver.checks.beat(&origin("vms"), &"vm-1".into(), heard, None, driver.now), None);
    assert_eq!(driver.plan(plan("198.51.100.1", &[])), None, "without beats nobody speaks of it");
}

#[test]
fn what_failed_on_the_machine_before_a_restart_fails_until_its_agent_says_otherwise() {
    let mut driver = Driver::new(8);
    let checks = [("disk", Health::Critical), ("heartbeat", Health::Passing)];
    let mut restored = restored(Health::Critical, &checks);
    let verdict = &mut restored[0].1.verdict;
    let on_machine = |check: &CheckVerdict| CheckVerdict { on_machine: &*check.name == "disk", ..check.clone() };
    verdict.checks = verdict.checks.iter().map(on_machine).collect();
    let before = verdict.clone();
    let replaced = driver.checks.plan(Plan { restored, ..beating(plan("198.51.100.1", &[])) }, driver.now);
    assert_eq!(replaced.verdicts, [("vm-1".into(), Some(before))], "not a word is another");
    let silent = beat(&mut driver, &[("disk", Health::Unknown)]).expect("the heartbeat was heard");
    assert_eq!(silent.health, Health::Critical);
    let well = beat(&mut driver, &[("disk", Health::Passing)]).expect("a change");
    assert_eq!(well.health, Health::Passing);
}
