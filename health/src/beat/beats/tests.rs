//! Tests: all beating instances of a process.

use std::time::Duration;

use proptest::prelude::*;
use rollcall_catalog::input::OriginKind;
use rollcall_catalog::model::Health;

use super::*;
use crate::beat::awake::{STALL_MS, TICK_MS};
use crate::beat::definition::{ALLOWANCE, Detector, Phi};
use crate::beat::instance::Status;

const ALL: &dyn Fn(&Origin, &str) -> bool = &|_, _| true;

fn vms() -> Arc<Origin> {
    Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", "vms"))
}

fn beating(name: &str, last: u8, vouched: bool) -> Beating {
    Beating { name: name.into(), addresses: Addresses::V4([198, 51, 100, last].into()), vouched }
}

fn ttl() -> Option<Arc<Heartbeat>> {
    Some(Arc::new(Heartbeat::default()))
}

/// Beats and a clock that is read as often as it should be.
struct Rig {
    beats: Beats,
    now: Now,
}

impl Rig {
    fn new(endpoints: Vec<Beating>) -> Self {
        let mut rig = Self { beats: Beats::default(), now: Now { mono_ms: 7_000, wall_ms: 1_000_000 } };
        rig.beats.resume(rig.now);
        rig.beats.register(&vms(), ttl(), &endpoints, ALL, rig.now);
        rig
    }

    fn beat(&mut self, endpoint: &str) -> Option<Health> {
        let (_, change) =
            self.beats.heard(&vms(), endpoint, &Said::PASS, Heard::Here, self.now).expect("it is to beat");
        change.map(|change| change.evidence.health)
    }

    /// Lets time pass; who turned what in it, and how long after its beginning.
    fn pass(&mut self, ms: u64) -> Vec<(String, Health, u64)> {
        let (began, mut changes) = (self.now.mono_ms, Vec::new());
        while self.now.mono_ms < began + ms {
            self.now.mono_ms += TICK_MS;
            self.now.wall_ms += 50;
            let after = self.now.mono_ms - began;
            let change = |change: Change| (change.endpoint.to_string(), change.evidence.health, after);
            changes.extend(self.beats.tick(self.now).into_iter().map(change));
        }
        changes
    }

    fn listen(&mut self, endpoint: &str, ear: Ear) {
        self.beats.listen(&vms(), endpoint, ear, self.now);
    }

    /// This process does nothing for a while.
    fn sleep(&mut self, ms: u64) -> Vec<Change> {
        self.now.mono_ms += ms;
        self.beats.tick(self.now)
    }
}

/// From the last beat to the conviction.
const SILENCE_MS: u64 = 3_000 + ALLOWANCE.as_millis() as u64;

#[test]
fn silence_convicts_those_who_are_silent_and_nobody_else() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false), beating("vm-2", 2, false)]);
    assert_eq!((rig.beat("vm-1"), rig.beat("vm-2")), (Some(Health::Passing), Some(Health::Passing)));
    let mut convicted = Vec::new();
    for second in 0..10 {
        rig.beat("vm-2");
        convicted
            .extend(rig.pass(1_000).into_iter().map(|(name, health, after)| (name, health, second * 1_000 + after)));
    }
    let [(name, Health::Critical, after)] = convicted.as_slice() else { panic!("{convicted:?}") };
    assert_eq!(name, "vm-1");
    assert!((SILENCE_MS..=SILENCE_MS + 2 * TICK_MS).contains(after), "{after} ms");
    assert_eq!(rig.beat("vm-1"), Some(Health::Passing));
}

#[test]
fn a_silence_tells_when_it_began_and_what_was_never_heard_here_tells_none() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false), beating("vm-2", 2, true)]);
    rig.pass(1_000);
    rig.beat("vm-1");
    let heard_ms = rig.now.mono_ms;
    let mut convicted = Vec::new();
    while rig.now.mono_ms < heard_ms + 5_000 {
        rig.now.mono_ms += TICK_MS;
        convicted.extend(rig.beats.tick(rig.now));
    }
    let silence =
        |endpoint: &str| convicted.iter().find(|change| &*change.endpoint == endpoint).map(|change| change.silence);
    assert_eq!(silence("vm-2"), Some(None), "when it was alive is not known");
    let Some(Some(silence)) = silence("vm-1") else { panic!("{convicted:?}") };
    let took_ms = SILENCE_MS..=SILENCE_MS + 2 * TICK_MS;
    assert!(silence.heard_ms == heard_ms && took_ms.contains(&(silence.convicted_ms - heard_ms)), "{silence:?}");
    assert!(silence.longest.as_millis() as u64 >= SILENCE_MS, "{silence:?}");
}

#[test]
fn what_is_not_to_beat_is_refused() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false)]);
    let other = Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", "other"));
    let mut heard =
        |origin: &Origin, endpoint: &str| rig.beats.heard(origin, endpoint, &Said::PASS, Heard::Here, rig.now).err();
    assert_eq!(heard(&other, "vm-1"), Some(Unknown::Registration));
    assert_eq!(heard(&vms(), "vm-9"), Some(Unknown::Endpoint));
    rig.beats.register(&vms(), None, &[], ALL, rig.now);
    assert_eq!(rig.beats.heard(&vms(), "vm-1", &Said::PASS, Heard::Here, rig.now).err(), Some(Unknown::Heartbeat));
    assert!(rig.beats.is_empty());
    rig.beats.forget(&vms());
    assert_eq!(rig.beats.heard(&vms(), "vm-1", &Said::PASS, Heard::Here, rig.now).err(), Some(Unknown::Registration));
}

#[test]
fn a_detector_that_slept_convicts_nobody() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false)]);
    rig.beat("vm-1");
    assert_eq!(rig.pass(2_000), []);
    assert_eq!(rig.sleep(3_600_000), []);
    // What had come meanwhile is taken in now.
    rig.beat("vm-1");
    assert_eq!(rig.pass(3_000), []);
    let convicted = rig.pass(1_000);
    assert_eq!(convicted.len(), 1, "awake again, silence counts: {convicted:?}");
    assert_eq!(rig.beats.stalls(), 1);
}

#[test]
fn who_is_due_while_it_wakes_gets_a_moment_to_be_heard() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false)]);
    rig.beat("vm-1");
    assert_eq!(rig.pass(SILENCE_MS - TICK_MS), []);
    assert_eq!(rig.sleep(10_000), []);
    assert_eq!(rig.pass(STALL_MS - TICK_MS), []);
    rig.beat("vm-1");
    assert_eq!(rig.pass(3_000), []);
}

#[test]
fn a_new_owner_gives_everyone_a_full_period() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false)]);
    rig.beat("vm-1");
    rig.listen("vm-1", Ear::Rests);
    assert_eq!(rig.pass(60_000), [], "another decides");
    assert_eq!(rig.beat("vm-1"), None, "and is told by other ways");
    assert_eq!(rig.pass(60_000), []);
    rig.listen("vm-1", Ear::Judges);
    assert_eq!(rig.beats.life(&vms(), "vm-1"), Some(Life::Vouched));
    let convicted = rig.pass(60_000);
    let [(_, Health::Critical, after)] = convicted.as_slice() else { panic!("{convicted:?}") };
    assert!(*after >= SILENCE_MS, "{after} ms");
}

#[test]
fn who_was_heard_by_the_owner_alone_is_convicted_by_the_next_one() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false)]);
    rig.listen("vm-1", Ear::Rests);
    assert_eq!(rig.pass(10_000), []);
    rig.listen("vm-1", Ear::Judges);
    assert_eq!(rig.beats.all_of(&vms()), [], "what the owner before said stands");
    let convicted = rig.pass(60_000);
    let [(_, Health::Critical, after)] = convicted.as_slice() else { panic!("{convicted:?}") };
    assert!(*after >= SILENCE_MS, "{after} ms");
}

#[test]
fn the_old_owner_judges_until_the_checks_have_somebody_else() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false)]);
    rig.beat("vm-1");
    rig.beats.own(&|_, _| false);
    rig.listen("vm-1", Ear::Judges);
    let convicted = rig.pass(60_000);
    let [(_, Health::Critical, after)] = convicted.as_slice() else { panic!("{convicted:?}") };
    assert!(
        (SILENCE_MS..SILENCE_MS + 2 * TICK_MS).contains(after),
        "{after} ms: it judges on, and does not begin anew"
    );
}

#[test]
fn whom_another_one_vouches_for_has_a_full_period_and_no_more() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false)]);
    assert_eq!(rig.pass(10_000), [], "never heard: nothing to lose");
    rig.listen("vm-1", Ear::Begins);
    assert_eq!(rig.pass(SILENCE_MS - TICK_MS), []);
    assert_eq!(rig.pass(2 * TICK_MS).len(), 1);
}

#[test]
fn nobody_is_convicted_while_a_replica_that_lives_is_not_heard() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false)]);
    rig.beat("vm-1");
    for _ in 0..200 {
        rig.beats.deaf();
        assert_eq!(rig.pass(TICK_MS), []);
    }
    assert_eq!(rig.pass(RECOVERY_MS - 2 * TICK_MS), [], "what was heard meanwhile is told first");
    assert_eq!(rig.pass(3 * TICK_MS).len(), 1);
}

#[test]
fn after_a_restart_everyone_has_a_full_period_and_the_unknown_stay_unknown() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, true), beating("vm-2", 2, false)]);
    let convicted = rig.pass(60_000);
    let [(name, Health::Critical, after)] = convicted.as_slice() else { panic!("{convicted:?}") };
    assert_eq!(name, "vm-1", "nobody relies on the other");
    assert!(*after >= SILENCE_MS, "{after} ms");
}

#[test]
fn a_changed_registration_keeps_who_is_where_it_was() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false), beating("vm-2", 2, false)]);
    rig.beat("vm-1");
    rig.beat("vm-2");
    rig.pass(1_000);
    // vm-2 is another machine now, and vm-3 came.
    let endpoints = vec![beating("vm-1", 1, true), beating("vm-2", 7, true), beating("vm-3", 3, true)];
    rig.beats.register(&vms(), ttl(), &endpoints, ALL, rig.now);
    let life = |endpoint| rig.beats.life(&vms(), endpoint).expect("known");
    assert_eq!([life("vm-1"), life("vm-2"), life("vm-3")], [Life::Heard, Life::Unheard, Life::Vouched]);
    let said: Vec<_> = rig.beats.all_of(&vms()).into_iter().map(|said| (said.endpoint, said.evidence.health)).collect();
    assert_eq!(said, [("vm-1".into(), Health::Passing), ("vm-2".into(), Health::Unknown)]);
    let convicted: Vec<_> = rig.pass(60_000).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(convicted, ["vm-1", "vm-3"]);
    rig.beats.register(&vms(), ttl(), &[beating("vm-3", 3, true)], ALL, rig.now);
    assert_eq!(rig.beats.len(), 1);
}

#[test]
fn a_shorter_ttl_is_in_force_at_once() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false)]);
    let long = Some(Arc::new(Heartbeat::new(Duration::from_secs(60), Detector::Ttl(Duration::from_secs(600)))));
    rig.beats.register(&vms(), long, &[beating("vm-1", 1, false)], ALL, rig.now);
    rig.beat("vm-1");
    assert_eq!(rig.pass(30_000), []);
    rig.beat("vm-1");
    rig.beats.register(&vms(), ttl(), &[beating("vm-1", 1, false)], ALL, rig.now);
    assert_eq!(rig.pass(SILENCE_MS + 2 * TICK_MS).len(), 1);
}

#[test]
fn who_says_that_it_stops_is_out_at_once_and_told_once() {
    let mut rig = Rig::new(vec![beating("vm-1", 1, false)]);
    rig.beat("vm-1");
    let stopped = rig.beats.heard(&vms(), "vm-1", &Said::STOPPED, Heard::Here, rig.now).expect("known").1;
    assert_eq!(stopped.map(|change| change.evidence.health), Some(Health::Critical));
    assert_eq!(rig.pass(60_000), []);
    assert_eq!(rig.beat("vm-1"), Some(Health::Passing));
    assert_eq!(Said::STOPPED.status(), Status::Stopped);
}

/// What a process keeps of an instance of phi with the largest window: told in the documentation.
#[test]
fn an_instance_takes_less_than_a_kilobyte() {
    let mut beats = Beats::default();
    let widest = Phi { window: Phi::WINDOW_MAX, ..Phi::of(Duration::from_secs(1)) };
    let heartbeat = Some(Arc::new(Heartbeat::new(Duration::from_secs(1), Detector::Phi(widest))));
    let mut now = Now::default();
    beats.register(&vms(), heartbeat, &[beating("vm-1", 1, false)], ALL, now);
    for second in 0..1_000 {
        now.mono_ms = second * 1_000;
        beats.heard(&vms(), "vm-1", &Said::PASS, Heard::Here, now).expect("known");
    }
    let entry = beats.entries.iter().flatten().next().expect("one");
    let bytes = size_of::<Option<Entry>>()
        + entry.instance.heap_bytes()
        + 3 * size_of::<(Name, u32)>()
        + 2 * size_of::<(u64, u32)>()
        + size_of::<Look>();
    assert!(bytes < 1_024, "{bytes} bytes");
}

proptest! {
    /// Against a model without wheel, slots and arming: each instance by itself.
    #[test]
    fn the_wheel_convicts_whom_a_look_at_everybody_would(
        beats_of in proptest::collection::vec(proptest::collection::vec(60_u64..9_000, 1..20), 1..8),
        learned in proptest::bool::ANY,
    ) {
        let second = Duration::from_secs(1);
        let phi = Heartbeat::new(second, Detector::Phi(Phi::of(second)));
        let heartbeat = Arc::new(if learned { phi } else { Heartbeat::default() });
        let names: Vec<String> = (0..beats_of.len()).map(|n| format!("vm-{n}")).collect();
        let endpoints: Vec<_> = names.iter().map(|name| beating(name, 1, true)).collect();
        let mut rig = Rig::new(Vec::new());
        rig.beats.register(&vms(), Some(Arc::clone(&heartbeat)), &endpoints, ALL, rig.now);
        let begun = rig.beats.awake.at(rig.now.mono_ms);
        let mut model: Vec<_> = names.iter().map(|_| Instance::new(Life::Vouched, begun, rig.now)).collect();
        let mut due: Vec<Vec<u64>> = beats_of.iter().map(|gaps| {
            let times = gaps.iter().scan(rig.now.mono_ms, |at, gap| { *at += gap; Some(*at) });
            times.collect::<Vec<_>>().into_iter().rev().collect()
        }).collect();
        let mut open: BTreeMap<usize, u64> = BTreeMap::new();
        for _ in 0..4_000 {
            rig.now.mono_ms += TICK_MS;
            let convicted: Vec<_> = rig.beats.tick(rig.now).into_iter().map(|change| change.endpoint.to_string()).collect();
            let awake_ms = rig.beats.awake.now_ms();
            for (n, name) in names.iter().enumerate() {
                if model[n].silent(&heartbeat, awake_ms, rig.now).is_some() {
                    open.insert(n, awake_ms);
                }
                if convicted.contains(name) {
                    prop_assert!(open.remove(&n).is_some(), "{name} was not silent for too long");
                }
                if due[n].last().is_some_and(|at| *at <= rig.now.mono_ms) {
                    due[n].pop();
                    if open.contains_key(&n) {
                        // Between two steps of the wheel: the beat came just in time for it.
                        continue;
                    }
                    rig.beats.heard(&vms(), name, &Said::PASS, Heard::Here, rig.now).expect("known");
                    model[n].heard(&Said::PASS, &heartbeat, rig.beats.awake.at(rig.now.mono_ms), true, rig.now);
                }
            }
            let late = open.values().any(|since_ms| awake_ms > since_ms + 2 * TICK_MS);
            prop_assert!(!late, "convicted too late: {open:?} at {awake_ms}");
        }
        prop_assert!(model.iter().all(|vm| vm.life() == Life::Silent), "in the end all are silent");
    }
}
