//! Tests: a word that comes late, after this replica has found out that it is over.

use rollcall_catalog::few::Few;

use super::*;
use crate::ledger::Evidence;
use crate::owner;

/// A peer that ranks before, or behind, the replica `a` for the endpoint.
fn peer(before: bool) -> Name {
    let work = owner::work(&origin("vms"), "vm-1");
    let ranks = |peer: &str| (owner::owner(&work, ["a", peer]) == Some(peer)) == before;
    { ["b", "c", "d", "e", "f", "g", "h"] }.into_iter().find(|peer| ranks(peer)).map(Name::from).expect("one of seven")
}

/// The replica `a`, which has found the endpoint Passing that was Critical, beside a peer that has said nothing yet.
fn turned(peer: &Name) -> Driver {
    let mut driver = Driver::new(8);
    driver.checks = Checks::of("a".into(), 8);
    driver.checks.stand(Standing::of([Name::from("a")], [Name::clone(peer)]), driver.now);
    driver.plan(Plan { restored: restored(Health::Critical, &[]), ..plan("198.51.100.1", &[check("web")]) });
    driver.sleep(1_000);
    driver.start();
    assert_eq!(driver.finish(&ok()), Some(Health::Passing));
    driver.checks.stand(Standing::of([Name::from("a"), Name::clone(peer)], [Name::clone(peer)]), driver.now);
    driver.start();
    driver
}

/// The peer says this, and what follows.
fn says(driver: &mut Driver, peer: &Name, health: Health) -> Option<Health> {
    let vantage = Vantage::Address("198.51.100.1:80".parse().expect("an address"));
    let evidence = Evidence { health, since_ms: 5, reason: "as it saw it".into() };
    let evidence: Few<_, _> = [(Witness { name: "web".into(), vantage }, evidence)].into_iter().collect();
    let addresses = Addresses::V4([198, 51, 100, 1].into());
    let said = [("vm-1".into(), Subject { addresses, evidence })].into();
    driver.checks.heard(peer, &origin("vms"), said, driver.now);
    driver.start();
    in_force(driver)
}

fn in_force(driver: &Driver) -> Option<Health> {
    Some(driver.checks.health(&origin("vms"), &"vm-1".into()))
}

#[test]
fn a_late_word_of_what_is_over_counts_only_when_its_author_has_had_the_time_to_look() {
    let peer = peer(true);
    let mut driver = turned(&peer);
    assert_eq!(says(&mut driver, &peer, Health::Critical), Some(Health::Passing), "that was before");
    assert!(driver.checks.is_at(&origin("vms"), &"vm-1".into()), "and relieves nobody");
    driver.sleep(1_499);
    driver.start();
    assert_eq!(in_force(&driver), Some(Health::Passing));
    driver.sleep(1);
    driver.start();
    assert_eq!(in_force(&driver), Some(Health::Critical), "whoever ranks before says so still");
}

#[test]
fn who_ranks_before_and_has_seen_the_same_takes_over_at_once() {
    let peer = peer(true);
    let mut driver = turned(&peer);
    says(&mut driver, &peer, Health::Critical);
    assert_eq!(says(&mut driver, &peer, Health::Passing), Some(Health::Passing));
    assert!(!driver.checks.is_at(&origin("vms"), &"vm-1".into()), "the owner has it");
    assert_eq!(says(&mut driver, &peer, Health::Critical), Some(Health::Critical), "its word is taken from then on");
}

#[test]
fn who_hears_that_an_endpoint_has_turned_looks_at_once() {
    let peer = peer(false);
    let mut driver = turned(&peer);
    assert!(driver.running.is_empty(), "it is due in a minute");
    assert_eq!(says(&mut driver, &peer, Health::Critical), Some(Health::Passing), "its own word counts");
    assert_eq!(driver.running.len(), 1, "it looks");
    driver.finish(&ok());
    says(&mut driver, &peer, Health::Critical);
    assert!(driver.running.is_empty(), "once for each word");
}
