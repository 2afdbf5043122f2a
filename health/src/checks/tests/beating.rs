//! Tests: who judges beats, and what one that comes anew says of what others have decided.

use rollcall_catalog::few::Few;

use super::*;
use crate::beat::{self, Ear};
use crate::ledger::Evidence;
use crate::owner;

const NOW: Now = Now { mono_ms: 10_000, wall_ms: 1_000_000 };

fn vm() -> Name {
    "vm-1".into()
}

fn said(health: Health) -> Evidence {
    Evidence { health, since_ms: 5, reason: "as heard".into() }
}

/// What a peer says of the endpoint by this witness.
fn subject(witness: Witness, health: Health) -> BTreeMap<Name, Subject> {
    let addresses = Addresses::V4([198, 51, 100, 1].into());
    [(vm(), Subject { addresses, evidence: Few::from_iter([(witness, said(health))]) })].into()
}

/// Two replicas, of which the first owns the endpoint.
fn ranked() -> [Name; 2] {
    let work = owner::work(&origin("vms"), vm());
    let [first, second] = owner::ranked(&work, ["a", "b"])[..] else { panic!("two") };
    [first.into(), second.into()]
}

fn both(peer: &Name) -> Standing {
    Standing::of(["a".into(), "b".into()], [Name::clone(peer)])
}

fn beating() -> Plan {
    let mut plan = Plan { heartbeat: true, ..plan("198.51.100.1", &[]) };
    plan.endpoints.iter_mut().for_each(|planned| planned.unchecked = false);
    plan
}

fn ears(checks: &mut Checks) -> Vec<Ear> {
    std::iter::from_fn(|| checks.take_listening()).map(|listening| listening.ear).collect()
}

#[test]
fn the_old_owner_judges_beats_until_another_covers_and_begins_anew_when_that_is_gone() {
    let [peer, me] = ranked();
    let mut checks = Checks::of(Name::clone(&me), 8);
    checks.plan(beating(), NOW);
    assert_eq!(ears(&mut checks), [Ear::Judges], "alone");
    checks.evidence(&origin("vms"), &vm(), beat::witness(), Some(said(Health::Passing)), NOW);
    checks.stand(both(&peer), NOW);
    assert_eq!((ears(&mut checks), checks.is_at(&origin("vms"), &vm())), (vec![], true), "nobody else has heard it");
    let silent = checks.evidence(&origin("vms"), &vm(), beat::witness(), Some(said(Health::Critical)), NOW);
    assert_eq!(silent.and_then(|change| change.verdict).map(|verdict| verdict.health), Some(Health::Critical));
    checks.heard(&peer, &origin("vms"), subject(beat::witness(), Health::Passing), NOW);
    assert_eq!(ears(&mut checks), [Ear::Rests]);
    assert_eq!(checks.health(&origin("vms"), &vm()), Health::Passing);
    checks.stand(Standing::alone(&me), NOW);
    assert_eq!(ears(&mut checks).last(), Some(&Ear::Begins), "a full period");
    assert_eq!(checks.health(&origin("vms"), &vm()), Health::Passing, "what it said stands until then");
}

#[test]
fn who_owns_beats_that_it_never_heard_vouches_for_whom_another_heard() {
    let [me, peer] = ranked();
    let mut checks = Checks::of(me, 8);
    checks.plan(beating(), NOW);
    checks.stand(both(&peer), NOW);
    ears(&mut checks);
    checks.heard(&peer, &origin("vms"), subject(beat::witness(), Health::Passing), NOW);
    assert_eq!(ears(&mut checks), [Ear::Begins], "or its silence would never be noticed");
    assert_eq!(checks.health(&origin("vms"), &vm()), Health::Passing);
}

#[test]
fn who_comes_anew_says_what_others_have_decided_and_not_what_it_knew() {
    let [me, peer] = ranked();
    let mut driver = Driver::new(8);
    driver.checks = Checks::of(me, 8);
    let known = Plan {
        restored: restored(Health::Passing, &[("web", Health::Passing)]),
        ..plan("198.51.100.1", &[check("web")])
    };
    driver.plan(known);
    let witness =
        Witness { name: "web".into(), vantage: Vantage::Address("198.51.100.1:80".parse().expect("an address")) };
    driver.checks.stand(both(&peer), driver.now);
    driver.checks.heard(&peer, &origin("vms"), subject(witness, Health::Critical), driver.now);
    assert_eq!(driver.checks.health(&origin("vms"), &vm()), Health::Critical);
    driver.sleep(60_000);
    driver.start();
    driver.finish(&bad());
    assert_eq!(driver.checks.health(&origin("vms"), &vm()), Health::Critical, "it covers now, and says the same");
}
