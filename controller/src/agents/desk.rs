//! What agents want to stand in the API, what does, and which object to write next. Pure: what is known and the time go in,
//! writes and news come out.
//!
//! An endpoint stays in the object in which it stands: elsewhere it would be another endpoint, to be checked anew. Every
//! replica writes for the agents that it hears, each object over the version that it has seen; what others wanted stands in
//! that version, and stays.

mod choosing;
mod places;
mod seating;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Weak};

use rollcall_catalog::model::Name;

use self::places::Places;
pub use self::seating::{News, Seat, State};
use super::endpoint::Endpoint;
use super::instance::{Instance, InstanceKey};
use super::set::{Set, SetKey};
use super::shard::Shard;
use crate::kubernetes::ObjectKey;

/// What agents want, and what stands.
#[derive(Debug)]
pub struct Desk {
    shards: HashMap<ObjectKey, Shard>,
    by_set: HashMap<SetKey, BTreeSet<ObjectKey>>,
    /// Where each endpoint stands: in one object, but for the moments in which it moves.
    places: HashMap<InstanceKey, Places>,
    /// What instances share, while one of them is wanted.
    sets: HashMap<SetKey, Weak<Set>>,
    wanted: HashMap<InstanceKey, Wanted>,
    leaving: HashMap<InstanceKey, Seat>,
    pending: HashMap<SetKey, Pending>,
    /// Sets with something to look at, each once.
    turns: VecDeque<SetKey>,
    /// What was refused, by when it is tried again.
    later: BTreeMap<u64, Vec<(SetKey, InstanceKey)>>,
    news: Vec<News>,
    /// Makes names of new objects differ from those of other replicas, and of earlier ones.
    salt: u64,
}

#[derive(Debug)]
struct Wanted {
    instance: Arc<Instance>,
    seat: Seat,
    told: State,
    /// It is written by itself: with others it was refused, and who of them is at fault is not known.
    alone: bool,
    /// What the API server made of it, if that is not what was written: to write it again would change nothing.
    made_of_it: Option<Endpoint>,
}

/// What is to be looked at in the objects of one set.
#[derive(Debug, Default)]
struct Pending {
    keys: BTreeSet<InstanceKey>,
    busy: bool,
    /// Not before this time, after a failure.
    not_before_ms: u64,
    failures: u32,
}

/// One write: an object as it is to be, over the version that it has, or its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Which object.
    pub key: ObjectKey,
    /// What it is to say. Without endpoints it is to be deleted.
    pub shard: Shard,
    /// Whose sake it is for.
    pub keys: Vec<InstanceKey>,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The object as it stands now; `None`: it is gone.
    Written(Option<Shard>),
    /// Somebody else wrote in between: the watch tells what.
    Conflict,
    /// The API server refuses it as it is, in these words.
    Refused(String),
    /// It gave no answer, or has a fault of its own, in these words.
    Unreachable(String),
}

/// After a conflict, until the watch has told.
const CONFLICT_MS: u64 = 200;
/// After the first failure; doubled with each further one.
const RETRY_MIN_MS: u64 = 500;
/// The longest wait after a failure.
const RETRY_MAX_MS: u64 = 10_000;
/// What was refused is tried again after this time: a quota may have been raised, a right given.
const REFUSED_MS: u64 = 60_000;

// === impl Desk ===

impl Desk {
    /// Nothing stands, nobody wants anything. `salt` is random.
    pub fn new(salt: u64) -> Self {
        Self {
            shards: HashMap::new(),
            by_set: HashMap::new(),
            places: HashMap::new(),
            sets: HashMap::new(),
            wanted: HashMap::new(),
            leaving: HashMap::new(),
            pending: HashMap::new(),
            turns: VecDeque::new(),
            later: BTreeMap::new(),
            news: Vec::new(),
            salt,
        }
    }

    /// An agent wants this to stand.
    pub fn want(&mut self, seat: Seat, instance: Arc<Instance>) {
        let instance = self.sharing(instance);
        let (key, set) = (instance.key.clone(), instance.set.key());
        self.leaving.remove(&key);
        self.wanted.insert(key.clone(), Wanted { instance, seat, told: State::Unsaid, alone: false, made_of_it: None });
        self.touch(set, key.clone());
        self.touch_where_it_stands(&key);
    }

    /// With the set of another instance that says the same, as ten thousand machines may, and with what stands of it already.
    fn sharing(&mut self, mut instance: Arc<Instance>) -> Arc<Instance> {
        if let Some(stands) = self.standing(&instance.key).filter(|stands| **stands == instance.endpoint) {
            Arc::make_mut(&mut instance).endpoint = stands.clone();
        }
        let key = instance.set.key();
        if let Some(set) = self.sets.get(&key).and_then(Weak::upgrade).filter(|set| **set == *instance.set) {
            Arc::make_mut(&mut instance).set = set;
            return instance;
        }
        // Each is some wanted instance's, but for those that are no more.
        if self.sets.len() > 2 * self.wanted.len() + 64 {
            self.sets.retain(|_, set| set.strong_count() > 0);
        }
        self.sets.insert(key, Arc::downgrade(&instance.set));
        instance
    }

    /// What stands of an endpoint.
    fn standing(&self, key: &InstanceKey) -> Option<&Endpoint> {
        let mut places = self.places.get(key)?.into_iter();
        places.find_map(|place| self.shards.get(place)?.endpoints.get(&key.endpoint))
    }

    /// An agent takes this out.
    pub fn leave(&mut self, seat: Seat, key: &InstanceKey) {
        self.wanted.remove(key);
        if self.places.get(key).is_none_or(Places::is_empty) && !self.is_being_written(key) {
            return self.news.push(News { seat, state: State::Left });
        }
        self.leaving.insert(key.clone(), seat);
        self.touch_where_it_stands(key);
    }

    /// The stream of an agent has ended. What stands, stays: its heartbeat decides.
    pub fn forget(&mut self, seat: Seat, key: &InstanceKey) {
        if self.wanted.get(key).is_some_and(|wanted| wanted.seat.session == seat.session) {
            self.wanted.remove(key);
        }
    }

    /// An object as it stands now, or that it is gone.
    pub fn seen(&mut self, key: &ObjectKey, mut shard: Option<Shard>) {
        if let (Some(before), Some(shard)) = (self.shards.get_mut(key), &shard)
            && before.says_the_same(shard)
        {
            return before.version.clone_from(&shard.version);
        }
        let before = self.shards.remove(key);
        let mut touched = BTreeSet::new();
        if let Some(before) = &before {
            shard.iter_mut().for_each(|shard| shard.share(before));
            touched.extend(before.endpoints.keys().map(|endpoint| before.key_of(endpoint)));
            self.unplace(key, before);
        }
        if let Some(shard) = shard {
            touched.extend(shard.endpoints.keys().map(|endpoint| shard.key_of(endpoint)));
            self.place(key, shard);
        }
        for key in touched {
            if let Some(wanted) = self.wanted.get(&key) {
                let set = wanted.instance.set.key();
                self.touch(set, key.clone());
                self.touch_where_it_stands(&key);
            } else if self.leaving.contains_key(&key) {
                self.touch_where_it_stands(&key);
                self.gone(&key);
            }
        }
    }

    /// The next write, if one is due.
    pub fn next(&mut self, now_ms: u64) -> Option<Write> {
        while let Some(entry) = self.later.first_entry().filter(|entry| *entry.key() <= now_ms) {
            entry.remove().into_iter().for_each(|(set, key)| self.touch(set, key));
        }
        for _ in 0..self.turns.len() {
            let set = self.turns.pop_front()?;
            let Some(pending) = self.pending.get_mut(&set) else { continue };
            if pending.keys.is_empty() {
                self.pending.remove(&set);
                continue;
            }
            if !pending.busy && pending.not_before_ms <= now_ms {
                if let Some(write) = self.write(&set) {
                    self.pending.entry(set.clone()).or_default().busy = true;
                    self.turns.push_back(set);
                    return Some(write);
                }
                if self.pending.get(&set).is_none_or(|pending| pending.keys.is_empty()) {
                    self.pending.remove(&set);
                    continue;
                }
            }
            self.turns.push_back(set);
        }
        None
    }

    /// When something may be due next, in milliseconds of the monotonic clock; `None` before something else happens.
    pub fn next_ms(&self) -> Option<u64> {
        let waits = |pending: &&Pending| !pending.busy && !pending.keys.is_empty();
        let pending = self.pending.values().filter(waits).map(|pending| pending.not_before_ms).min();
        pending.into_iter().chain(self.later.keys().next().copied()).min()
    }

    /// Takes in what came of a write.
    pub fn done(&mut self, write: &Write, outcome: Outcome, now_ms: u64) {
        let set = write.shard.set.clone();
        let pending = self.pending.entry(set.clone()).or_default();
        pending.busy = false;
        match outcome {
            Outcome::Written(mut shard) => {
                (pending.failures, pending.not_before_ms) = (0, 0);
                shard.iter_mut().for_each(|shard| shard.share(&write.shard));
                self.seen(&write.key, shard);
                write.keys.iter().for_each(|key| self.written(write, key));
            }
            Outcome::Conflict => pending.not_before_ms = now_ms + CONFLICT_MS,
            Outcome::Unreachable(words) => {
                pending.not_before_ms = now_ms + (RETRY_MIN_MS << pending.failures.min(6)).min(RETRY_MAX_MS);
                pending.failures += 1;
                let words: Name = format!("it waits for the API server: {words}").into();
                for key in self.pending.get(&set).map(|pending| pending.keys.clone()).unwrap_or_default() {
                    self.tell(&key, State::Waiting(Name::clone(&words)));
                }
            }
            Outcome::Refused(words) => self.refused(&set, &write.keys, &words, now_ms),
        }
        if !self.turns.contains(&set) {
            self.turns.push_back(set);
        }
    }

    /// What agents are to be told.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Endpoints that agents of this replica want.
    pub fn wanted(&self) -> usize {
        self.wanted.len()
    }

    /// Endpoints that are wanted and do not stand yet, or leave and still do.
    pub fn waiting(&self) -> usize {
        self.pending.values().map(|pending| pending.keys.len()).sum()
    }

    /// Of several that were refused together each is tried by itself. One that was alone is at fault.
    fn refused(&mut self, set: &SetKey, keys: &[InstanceKey], words: &str, now_ms: u64) {
        if let [key] = keys {
            if let Some(pending) = self.pending.get_mut(set) {
                pending.keys.remove(key);
            }
            self.later.entry(now_ms + REFUSED_MS).or_default().push((set.clone(), key.clone()));
            let words: Name = format!("the API server refuses its registration: {words}").into();
            return self.tell(key, State::Refused(words));
        }
        for key in keys {
            self.wanted.entry(key.clone()).and_modify(|wanted| wanted.alone = true);
        }
    }

    /// A key whose write was made: one that left is gone; one that stands otherwise than it was written, stays so. What
    /// its agent wants by now may be something else again, and is still to be written.
    fn written(&mut self, write: &Write, key: &InstanceKey) {
        self.gone(key);
        let (Some(wanted), Some(shard)) = (self.wanted.get_mut(key), self.shards.get(&write.key)) else { return };
        wanted.alone = false;
        let wants = shard.endpoint_of(&wanted.instance);
        let is_what_was_written = write.shard.endpoints.get(&key.endpoint).is_some_and(|written| *written == wants);
        let differs = shard.endpoints.get(&key.endpoint).filter(|stands| is_what_was_written && **stands != wants);
        wanted.made_of_it = differs.cloned();
    }
}
