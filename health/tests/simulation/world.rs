//! The world: time, what happens in it, and whoever lives there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rollcall_catalog::input::Verdict;
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;
use rollcall_health::beat::awake::TICK_MS;
use rollcall_health::checks::{Change, Start, TargetId};
use rollcall_health::confirmation::{self, Vote};
use rollcall_health::membership::{Membership, Standing};
use rollcall_health::{Checks, Outcome};

use crate::beating;
use crate::chance::Chance;
use crate::invariants::Watch;
use crate::net::{Key, Published, Stream};
use crate::replica::Replica;
use crate::script::{self, Event};
use crate::target::{TIMEOUT_MS, number_of, origin_of, plan};
use crate::vantage::{self, Vantage};

/// How long a play lasts.
const UNTIL_MS: u64 = 90_000;
/// The longest that a word between replicas travels, also if it is lost and sent again.
pub(crate) const TRAVEL_MAX_MS: u64 = 600;

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) tells: bool,
    pub(crate) chance: Chance,
    pub(crate) now_ms: u64,
    pub(crate) replicas: Vec<Replica>,
    /// Since when each target is dead.
    pub(crate) dead_ms: Vec<Option<u64>>,
    /// When each target changed last.
    pub(crate) turned_ms: Vec<u64>,
    pub(crate) watch: Watch,
    pub(crate) api_away: bool,
    pub(crate) vantages: Vec<Vantage>,
    /// The Leases: versions, and what every replica reads of them with a lag.
    leases: BTreeMap<Name, u64>,
    /// What the API keeps of verdicts, for who starts.
    status: BTreeMap<usize, Verdict>,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    happenings: Vec<Option<Happening>>,
    sequence: u64,
}

pub(crate) enum Happening {
    Fault(Event, bool),
    /// A replica looks who is there, and says that it is.
    Look(usize, u64),
    /// It renews its Lease, and lists.
    Lease(usize, u64),
    Listed(usize, u64, Vec<(Name, String)>),
    Step(usize, u64),
    Probed(usize, u64, TargetId, Outcome),
    /// A vantage point looks whom it is connected to.
    Vantage(usize),
    /// What one has found out for a replica.
    Found(usize, u64, TargetId, Vote),
    /// From, to, and what.
    Word(usize, usize, Key),
    Check,
    /// A target beats.
    Beat(usize),
    /// The time of a replica's beats goes on.
    Tick(usize, u64),
}

impl World {
    pub(crate) fn new(seed: u64, tells: bool) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let (replicas, targets) = (3 + chance.index(3), 5 + chance.index(6));
        let mut world = Self {
            seed,
            tells,
            now_ms: 0,
            replicas: Vec::new(),
            dead_ms: vec![None; targets],
            turned_ms: vec![0; targets],
            watch: Watch::new(replicas, targets),
            api_away: false,
            vantages: Vec::new(),
            leases: BTreeMap::new(),
            status: BTreeMap::new(),
            queue: BinaryHeap::new(),
            happenings: Vec::new(),
            sequence: 0,
            chance,
        };
        world.vantages = vantage::some(&mut world.chance);
        for number in 0..replicas {
            let replica = world.born(number, format!("r{number}").into(), 0);
            world.replicas.push(replica);
            world.start(number);
        }
        let vantages = world.vantages.len();
        (0..vantages).for_each(|vantage| world.after(0, Happening::Vantage(vantage)));
        for event in script::write(&mut world.chance, (replicas, vantages), targets, UNTIL_MS) {
            world.after(event.begins_ms, Happening::Fault(event, true));
            world.after(event.ends_ms, Happening::Fault(event, false));
        }
        world.after(1_000, Happening::Check);
        world.begin_to_beat();
        world
    }

    pub(crate) fn play(mut self) {
        while let Some(Reverse((at_ms, _, index))) = self.queue.pop() {
            if at_ms > UNTIL_MS {
                break;
            }
            self.now_ms = at_ms;
            if let Some(happening) = self.happenings[index].take() {
                self.happens(happening);
            }
        }
    }

    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            println!("{:>7} {}", self.now_ms, what());
        }
    }

    pub(crate) fn after(&mut self, ms: u64, happening: Happening) {
        self.sequence += 1;
        self.happenings.push(Some(happening));
        self.queue.push(Reverse((self.now_ms + ms, self.sequence, self.happenings.len() - 1)));
    }

    pub(crate) fn born(&mut self, number: usize, name: Name, incarnation: u64) -> Replica {
        let now_ms = self.now_ms;
        let others = (0..self.watch.replicas()).filter(|other| *other != number);
        let mut replica = Replica {
            membership: Membership::new(Name::clone(&name)),
            standing: Standing::alone(&name),
            published: Published::default(),
            streams: others.map(|other| (other, Stream::default())).collect(),
            alive: true,
            incarnation,
            skew_ms: i64::try_from(number).expect("small") * 700 - 900,
            blind: false,
            without_leases: false,
            outcast_ms: 0,
            troubled_ms: now_ms,
            step_ms: 0,
            checks: Checks::of(Name::clone(&name), 64),
            beats: beating::listening(Now { mono_ms: now_ms, wall_ms: 0 }),
            name,
        };
        let vantages = vantage::names(&self.vantages);
        for target in 0..self.dead_ms.len() {
            let restored = self.status.get(&target).cloned();
            let known = restored.as_ref().is_some_and(|verdict| verdict.health != Health::Unknown);
            let replaced = replica.checks.plan(plan(target, restored), replica.now(now_ms));
            replica.checks.ask_others(&origin_of(target), confirmation::OTHERS, &vantages);
            let verdict = replaced.verdicts.into_iter().find_map(|(_, verdict)| verdict);
            self.watch.begins(number, target, verdict.as_ref());
            replica.registers(target, known, now_ms);
        }
        replica
    }

    pub(crate) fn start(&mut self, number: usize) {
        let incarnation = self.replicas[number].incarnation;
        let (look, lease) = (self.chance.within(0, 250), self.chance.within(0, 1_000));
        self.after(look, Happening::Look(number, incarnation));
        self.after(lease, Happening::Lease(number, incarnation));
        self.after(0, Happening::Step(number, incarnation));
        self.after(TICK_MS, Happening::Tick(number, incarnation));
    }

    pub(crate) fn is(&self, number: usize, incarnation: u64) -> bool {
        self.replicas[number].alive && self.replicas[number].incarnation == incarnation
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Fault(event, begins) => self.fault(event.fault, begins),
            Happening::Look(number, incarnation) if self.is(number, incarnation) => {
                let now_ms = self.now_ms;
                self.replicas[number].look(now_ms);
                if (now_ms / 250).is_multiple_of(2) {
                    let key = self.replicas[number].say(now_ms);
                    self.spread(number, &key);
                }
                self.connect(number);
                self.step(number);
                self.after(250, Happening::Look(number, incarnation));
            }
            Happening::Lease(number, incarnation) if self.is(number, incarnation) => self.lease(number, incarnation),
            Happening::Listed(number, incarnation, found) if self.is(number, incarnation) => {
                let now_ms = self.now_ms;
                self.replicas[number].membership.listed(&found, now_ms);
            }
            Happening::Step(number, incarnation) if self.is(number, incarnation) => self.step(number),
            Happening::Probed(number, incarnation, id, outcome) if self.is(number, incarnation) => {
                let now = self.replicas[number].now(self.now_ms);
                let change = self.replicas[number].checks.finished(id, &outcome, now);
                change.into_iter().for_each(|change| self.changed(number, change));
                self.step(number);
            }
            Happening::Found(number, incarnation, id, vote) if self.is(number, incarnation) => {
                self.found(number, id, vote);
            }
            Happening::Vantage(vantage) => self.attend(vantage),
            Happening::Word(from, to, key) => self.word(from, to, &key),
            Happening::Beat(target) => self.beat(target),
            Happening::Tick(number, incarnation) if self.is(number, incarnation) => self.tick(number, incarnation),
            Happening::Check => {
                Watch::check(self);
                self.after(250, Happening::Check);
            }
            Happening::Look(..)
            | Happening::Lease(..)
            | Happening::Listed(..)
            | Happening::Step(..)
            | Happening::Tick(..)
            | Happening::Found(..)
            | Happening::Probed(..) => {}
        }
    }

    fn lease(&mut self, number: usize, incarnation: u64) {
        if !self.api_away && !self.replicas[number].without_leases {
            let name = Name::clone(&self.replicas[number].name);
            *self.leases.entry(name).or_default() += 1;
            let found = self.leases.iter().map(|(name, version)| (Name::clone(name), version.to_string())).collect();
            let lag = self.chance.within(1, 400);
            self.after(lag, Happening::Listed(number, incarnation, found));
            // The leader writes what it knows, now and then.
            for target in 0..self.dead_ms.len() {
                if let Some(verdict) = self.watch.verdict(number, target).filter(|_| number == 0) {
                    self.status.insert(target, verdict.clone());
                }
            }
        }
        self.after(1_000, Happening::Lease(number, incarnation));
    }

    /// Does what is due at a replica.
    pub(crate) fn step(&mut self, number: usize) {
        let now_ms = self.now_ms;
        let did = self.replicas[number].step(now_ms);
        did.changes.into_iter().for_each(|change| self.changed(number, change));
        did.starts.into_iter().for_each(|start| self.probe(number, &start));
        did.relays.into_iter().for_each(|relay| self.ask(number, &relay));
        did.published.iter().for_each(|key| self.spread(number, key));
        let replica = &mut self.replicas[number];
        let next_ms = replica.checks.next_ms().map(|next_ms| next_ms.max(now_ms + 1));
        let sooner = |next_ms: &u64| replica.step_ms <= now_ms || *next_ms < replica.step_ms;
        if let Some(next_ms) = next_ms.filter(sooner) {
            replica.step_ms = next_ms;
            let incarnation = replica.incarnation;
            self.after(next_ms - now_ms, Happening::Step(number, incarnation));
        }
    }

    fn probe(&mut self, number: usize, start: &Start) {
        let target = number_of(&start.origin);
        let dead = self.dead_ms[target].is_some() || self.replicas[number].blind;
        let (ms, outcome) = match (dead, self.chance.percent(50)) {
            (false, _) => (self.chance.within(1, 60), Outcome::Success("was accepted".into())),
            (true, true) => (self.chance.within(1, 20), Outcome::Failure("was refused".into())),
            (true, false) => (TIMEOUT_MS, Outcome::Failure("gave no answer in time".into())),
        };
        let incarnation = self.replicas[number].incarnation;
        self.after(ms, Happening::Probed(number, incarnation, start.id, outcome));
    }

    pub(crate) fn changed(&mut self, number: usize, change: Change) {
        let target = number_of(&change.origin);
        self.tell(|| {
            let said = change.verdict.as_ref().map(|said| (said.health, said.since_ms));
            format!("{} says t{target}: {} -> {said:?}, own {}", self.replicas[number].name, change.before, change.own)
        });
        Watch::changed(self, number, target, &change);
    }

    /// News go to whoever is connected.
    pub(crate) fn spread(&mut self, from: usize, key: &Key) {
        for to in (0..self.replicas.len()).filter(|to| *to != from) {
            let ms =
                if self.chance.percent(3) { self.chance.within(200, TRAVEL_MAX_MS) } else { self.chance.within(1, 20) };
            self.after(ms, Happening::Word(from, to, key.clone()));
        }
    }

    /// Takes in the newest of a name, if the stream is there.
    fn word(&mut self, from: usize, to: usize, key: &Key) {
        if !self.replicas[from].alive || !self.replicas[to].alive {
            return;
        }
        let incarnation = self.replicas[from].incarnation;
        let Some(stream) = self.replicas[to].streams.get(&from) else { return };
        if stream.cut || stream.incarnation != incarnation {
            return;
        }
        self.take_in(from, to, key);
        self.step(to);
    }

    fn take_in(&mut self, from: usize, to: usize, key: &Key) {
        let Some((version, value)) = self.replicas[from].published.all.get(key).cloned() else { return };
        let now_ms = self.now_ms;
        let (name, reader) = (Name::clone(&self.replicas[from].name), &mut self.replicas[to]);
        let Some(stream) = reader.streams.get_mut(&from) else { return };
        if stream.seen.get(key).is_some_and(|seen| *seen >= version) {
            return;
        }
        stream.seen.insert(key.clone(), version);
        let changes = reader.hear((from, &name), key, value, now_ms);
        changes.into_iter().for_each(|change| self.changed(to, change));
    }

    /// Opens streams that are not there, and brings the difference.
    fn connect(&mut self, to: usize) {
        let (numbers, all): (Vec<_>, _) = (self.replicas[to].streams.keys().copied().collect(), self.replicas.len());
        for from in numbers.into_iter().filter(|from| *from < all) {
            let (alive, incarnation) = (self.replicas[from].alive, self.replicas[from].incarnation);
            let (cut, whole, before) = {
                let stream = &self.replicas[to].streams[&from];
                (stream.cut, stream.whole, stream.incarnation)
            };
            if !alive || cut || (whole && before == incarnation) {
                continue;
            }
            if before != incarnation {
                self.reconnected(from, to, incarnation);
            }
            if let Some(stream) = self.replicas[to].streams.get_mut(&from) {
                stream.whole = true;
            }
            let keys: Vec<_> = self.replicas[from].published.all.keys().cloned().collect();
            keys.iter().for_each(|key| self.take_in(from, to, key));
        }
    }

    /// The process at the other end is another one: what the old one said is taken back, if it bears the same name.
    fn reconnected(&mut self, from: usize, to: usize, incarnation: u64) {
        let now_ms = self.now_ms;
        let name = Name::clone(&self.replicas[from].name);
        let published: Vec<_> = self.replicas[from].published.all.keys().cloned().collect();
        let Some(stream) = self.replicas[to].streams.get_mut(&from) else { return };
        let old = std::mem::replace(stream, Stream { incarnation, ..Stream::default() });
        for key in old.seen.keys().filter(|key| !published.contains(key)) {
            self.replicas[to].hear((from, &name), key, None, now_ms);
        }
    }
}
