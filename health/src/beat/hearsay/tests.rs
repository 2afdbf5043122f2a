//! Tests: what replicas tell each other of beats.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use rollcall_catalog::input::{Origin, OriginKind};
use rollcall_catalog::model::{Addresses, Health};

use super::*;
use crate::beat::awake::TICK_MS;
use crate::beat::beats::{Beating, Heard};
use crate::beat::instance::{Life, Status};

fn vms() -> Arc<Origin> {
    Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", "vms"))
}

/// A replica that owns `vm-1`, or none of it.
fn replica(owner: bool) -> Beats {
    let mut beats = Beats::default();
    let vm = Beating { name: "vm-1".into(), addresses: Addresses::V4([198, 51, 100, 1].into()), vouched: false };
    beats.register(&vms(), Some(Arc::default()), &[vm], &|_, _| owner, Now::default());
    beats.tick(Now::default());
    beats
}

fn at(mono_ms: u64) -> Now {
    Now { mono_ms, wall_ms: 0 }
}

#[test]
fn a_beat_that_another_replica_hears_reaches_the_owner_with_its_age_and_counts_once() {
    let (mut owner, mut other) = (replica(true), replica(false));
    other.heard(&vms(), "vm-1", &Said::PASS, Heard::Here, at(300)).expect("known");
    let batch = other.batch(at(400));
    let [(part, told)] = batch.as_slice() else { panic!("{batch:?}") };
    let [overheard] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((*part, overheard.ago_ms), (shard(instance(&vms(), "vm-1")), 100));
    owner.tick(at(450));
    let (news, change) = owner.overheard(7, overheard, at(450));
    assert_eq!((news, change.map(|change| change.evidence.health)), (true, Some(Health::Passing)));
    assert_eq!(owner.overheard(7, overheard, at(460)), (false, None), "the same beat again");
    assert_eq!(other.batch(at(500)), [], "nothing new");
}

#[test]
fn what_is_told_again_has_its_age_and_is_not_told_for_ever() {
    let mut other = replica(false);
    other.heard(&vms(), "vm-1", &Said::new(Status::Warn, "hot"), Heard::Here, at(0)).expect("known");
    let mut ages = Vec::new();
    for tick in 1..200 {
        other.tick(at(tick * TICK_MS));
        for (_, told) in other.batch(at(tick * TICK_MS)) {
            ages.push(told.first().map(|overheard| overheard.ago_ms));
        }
    }
    assert_eq!(ages, [Some(50), Some(1_050), Some(2_050), Some(3_050), Some(4_050), None]);
}

#[test]
fn a_beat_told_again_is_none_also_when_another_told_of_his_meanwhile_and_it_was_long_under_way() {
    let (mut owner, mut one, mut other) = (replica(true), replica(false), replica(false));
    let told = |from: &mut Beats, at_ms: u64| {
        from.heard(&vms(), "vm-1", &Said::PASS, Heard::Here, at(at_ms)).expect("known");
        from.batch(at(at_ms)).remove(0).1.remove(0)
    };
    let (first, last) = (told(&mut one, 100), told(&mut other, 300));
    owner.tick(at(310));
    let mut hears = |from: u32, beat: &Overheard, ago_ms: u32, now_ms: u64| {
        owner.overheard(from, &Overheard { ago_ms, ..beat.clone() }, at(now_ms)).0
    };
    assert!(hears(1, &first, 210, 310) && hears(2, &last, 10, 310));
    assert!(!hears(1, &first, 300, 400));
    assert!(!hears(2, &last, 90, 800), "by its age it looks later");
    assert!(hears(2, &told(&mut other, 810), 0, 810), "the next one counts");
}

#[test]
fn an_older_beat_does_not_take_back_a_newer_one() {
    let (mut owner, mut other) = (replica(true), replica(false));
    other.heard(&vms(), "vm-1", &Said::PASS, Heard::Here, at(0)).expect("known");
    let (_, told) = other.batch(at(100)).remove(0);
    owner.tick(at(400));
    owner.heard(&vms(), "vm-1", &Said::STOPPED, Heard::Here, at(400)).expect("known");
    let late = Overheard { ago_ms: 500, ..told[0].clone() };
    assert_eq!(owner.overheard(7, &late, at(450)), (false, None));
    assert_eq!(owner.life(&vms(), "vm-1"), Some(Life::Heard));
}

#[test]
fn a_lease_is_seen_by_all_and_told_by_none() {
    let mut other = replica(false);
    other.heard(&vms(), "vm-1", &Said::PASS, Heard::Everywhere, at(0)).expect("known");
    assert_eq!(other.batch(at(100)), []);
}

#[test]
fn who_becomes_another_s_is_told_to_it() {
    let mut beats = replica(true);
    beats.heard(&vms(), "vm-1", &Said::PASS, Heard::Here, at(0)).expect("known");
    assert_eq!(beats.batch(at(100)), [], "this one decides itself");
    beats.own(&|_, _| false);
    let told = |batch: &[(u8, Vec<Overheard>)]| {
        batch.iter().map(|(_, told)| told.iter().map(|told| told.ago_ms).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(told(&beats.batch(at(150))), [[150]], "also what was heard before");
    beats.heard(&vms(), "vm-1", &Said::PASS, Heard::Here, at(200)).expect("known");
    assert_eq!(told(&beats.batch(at(250))), [[50]]);
}

proptest! {
    /// Beats come to any of three replicas; batches are lost, late and replaced, but not for long.
    #[test]
    fn who_beats_somewhere_is_convicted_nowhere(
        heard_by in proptest::collection::vec(0_usize..3, 100),
        arrives in proptest::collection::vec(proptest::bool::weighted(0.6), 3_000),
    ) {
        let mut replicas = [replica(true), replica(false), replica(false)];
        // What each replica tells, as the newest that there is of each part.
        let mut published: [BTreeMap<u8, Vec<Overheard>>; 2] = Default::default();
        let mut arrives = arrives.into_iter().cycle();
        for tick in 1..2_000_u64 {
            let now = at(tick * TICK_MS);
            for replica in &mut replicas {
                let changes = replica.tick(now);
                prop_assert!(changes.is_empty(), "at {}: {changes:?}", now.mono_ms);
            }
            if tick % 20 == 0 {
                let by = heard_by[usize::try_from(tick / 20).expect("small")];
                replicas[by].heard(&vms(), "vm-1", &Said::PASS, Heard::Here, now).expect("known");
            }
            for (peer, replica) in (0_u32..).zip(1..3) {
                let batch = replicas[replica].batch(now);
                let published = &mut published[replica - 1];
                published.extend(batch);
                if arrives.next() == Some(true) {
                    for overheard in published.values().flatten() {
                        replicas[0].overheard(peer, overheard, now);
                    }
                }
            }
        }
        prop_assert_eq!(replicas[0].life(&vms(), "vm-1"), Some(Life::Heard));
    }
}
