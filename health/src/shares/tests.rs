//! Tests: fair turns.

use std::collections::BTreeMap;

use rollcall_catalog::input::OriginKind;

use super::*;

fn origin(namespace: &str, name: &str) -> Arc<Origin> {
    Arc::new(Origin::here(OriginKind::ServiceRegistration, namespace, name))
}

/// Starts all that may start; how many of each registration.
fn started(shares: &mut Shares<u32>) -> BTreeMap<String, usize> {
    let mut started = BTreeMap::new();
    while let Some((origin, _)) = shares.start() {
        *started.entry(format!("{}/{}", origin.namespace, origin.name)).or_default() += 1;
    }
    started
}

#[test]
fn one_registration_never_holds_all_places_and_a_newcomer_starts_at_once() {
    let (greedy, modest) = (origin("aaa", "dark"), origin("zzz", "vms"));
    let mut shares = Shares::new(100);
    (0..10_000).for_each(|item| shares.wait(&greedy, Lane::Doubtful, item));
    let held = started(&mut shares)["aaa/dark"];
    assert!((30..=50).contains(&held), "{held} of 100 places");
    (0..10).for_each(|item| shares.wait(&modest, Lane::Steady, item));
    assert_eq!(started(&mut shares), BTreeMap::from([("zzz/vms".into(), 10)]));
}

#[test]
fn many_registrations_of_a_namespace_leave_half_to_others() {
    let mut shares = Shares::new(100);
    for n in 0..50 {
        let origin = origin("aaa", &format!("dark-{n}"));
        (0..100).for_each(|item| shares.wait(&origin, Lane::Doubtful, item));
    }
    let held: usize = started(&mut shares).values().sum();
    assert_eq!(held, 50);
    let late = origin("zzz", "vms");
    (0..10).for_each(|item| shares.wait(&late, Lane::Steady, item));
    assert_eq!(started(&mut shares), BTreeMap::from([("zzz/vms".into(), 10)]));
}

#[test]
fn dark_targets_and_those_that_pass_take_turns() {
    let origin = origin("shop", "vms");
    let mut shares = Shares::new(9);
    (0..100).for_each(|item| shares.wait(&origin, Lane::Doubtful, item));
    (100..200).for_each(|item| shares.wait(&origin, Lane::Steady, item));
    let mut steady = 0;
    for _ in 0..100 {
        let (_, item) = shares.start().expect("a place");
        steady += usize::from(item >= 100);
        shares.release(&origin);
    }
    assert_eq!(steady, 50);
}

#[test]
fn every_place_comes_back_and_nothing_is_kept_of_who_left() {
    let origin = origin("shop", "vms");
    let mut shares = Shares::new(1);
    for item in 0..5 {
        shares.wait(&origin, Lane::Steady, item);
    }
    assert_eq!(shares.start().map(|(_, item)| item), Some(0));
    assert!(shares.start().is_none(), "one place");
    shares.retain(&origin, |item| *item == 4);
    shares.release(&origin);
    assert_eq!(shares.start().map(|(_, item)| item), Some(4), "the others wait no more");
    shares.release(&origin);
    shares.release(&origin);
    assert!(shares.start().is_none() && shares.running() == 0);
    assert!(shares.namespaces.is_empty() && shares.turns.is_empty());
}
