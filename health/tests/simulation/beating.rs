//! Instances that beat: now to this replica and now to that one, whoever judges them.

use rollcall_health::beat::awake::TICK_MS;
use rollcall_health::beat::hearsay::BATCH_MS;
use rollcall_health::beat::{self, Beating, Beats, Heard, Heartbeat, Said};
use rollcall_health::checks::Change;

use crate::net::{Key, Value};
use crate::replica::Replica;
use crate::target::{beats, origin_of, plan};
use crate::world::{Happening, World};

/// From beat to beat.
const BEAT_MS: u64 = 1_000;

impl World {
    /// The first beats: before the replicas have found each other, and while they do.
    pub(crate) fn begin_to_beat(&mut self) {
        for target in (0..self.dead_ms.len()).filter(|target| beats(*target)) {
            let first_ms = self.chance.within(0, 6_000);
            self.after(first_ms, Happening::Beat(target));
        }
    }

    /// A beat, to any replica that answers.
    pub(crate) fn beat(&mut self, target: usize) {
        if self.dead_ms[target].is_none() {
            let (first, all) = (self.chance.index(self.replicas.len()), self.replicas.len());
            let hears = |number: &usize| self.replicas[*number].alive && !self.replicas[*number].blind;
            if let Some(number) = (0..all).map(|after| (first + after) % all).find(hears) {
                let change = self.replicas[number].beaten(target, self.now_ms);
                change.into_iter().for_each(|change| self.changed(number, change));
                self.step(number);
            }
        }
        self.after(BEAT_MS, Happening::Beat(target));
    }

    /// The time of beats goes on.
    pub(crate) fn tick(&mut self, number: usize, incarnation: u64) {
        let changes = self.replicas[number].tick(self.now_ms);
        changes.into_iter().for_each(|change| self.changed(number, change));
        self.step(number);
        if (self.now_ms / TICK_MS).is_multiple_of(BATCH_MS / TICK_MS) {
            for key in self.replicas[number].overhear(self.now_ms) {
                self.spread(number, &key);
            }
        }
        self.after(TICK_MS, Happening::Tick(number, incarnation));
    }
}

impl Replica {
    /// It learns of the registration of a target.
    pub(crate) fn registers(&mut self, target: usize, restored: bool, now_ms: u64) {
        let endpoints: Vec<_> = plan(target, None).endpoints;
        let beating = endpoints.into_iter().map(|planned| Beating {
            name: planned.name,
            addresses: planned.addresses,
            vouched: restored,
        });
        let beating: Vec<_> = beating.collect();
        let heartbeat = beats(target).then(|| Heartbeat::default().into());
        let (now, owns) = (self.now(now_ms), self.owns());
        self.beats.register(&origin_of(target), heartbeat, &beating, &owns, now);
        let changes = self.beats.all_of(&origin_of(target));
        self.judged(changes, now_ms);
    }

    /// An instance says that it lives.
    fn beaten(&mut self, target: usize, now_ms: u64) -> Vec<Change> {
        let heard = self.beats.heard(&origin_of(target), "vm", &Said::PASS, Heard::Here, self.now(now_ms));
        let (_, change) = heard.expect("it is registered");
        self.judged(change, now_ms)
    }

    fn tick(&mut self, now_ms: u64) -> Vec<Change> {
        if self.membership.is_deaf(now_ms) {
            self.beats.deaf();
        }
        let changes = self.beats.tick(self.now(now_ms));
        self.judged(changes, now_ms)
    }

    /// What it tells the others of beats.
    fn overhear(&mut self, now_ms: u64) -> Vec<Key> {
        let batch = self.beats.batch(self.now(now_ms));
        let publish = |(part, told): (u8, Vec<_>)| {
            let key = Key::Beats(part);
            self.published.publish(key.clone(), (!told.is_empty()).then_some(Value::Beats(told)));
            key
        };
        batch.into_iter().map(publish).collect()
    }

    /// What beats come to goes to the checks.
    pub(crate) fn judged(&mut self, changes: impl IntoIterator<Item = beat::Change>, now_ms: u64) -> Vec<Change> {
        let now = self.now(now_ms);
        let mut judge = |change: beat::Change| {
            self.checks.evidence(&change.origin, &change.endpoint, beat::witness(), Some(change.evidence), now)
        };
        changes.into_iter().filter_map(&mut judge).collect()
    }
}

/// Beats of a replica that begins to listen.
pub(crate) fn listening(now: rollcall_catalog::time::Now) -> Beats {
    let mut beats = Beats::default();
    beats.resume(now);
    beats
}
