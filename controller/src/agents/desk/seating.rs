//! Who is told what, and where endpoints stand.

use rollcall_catalog::model::Name;

use super::places::Places;
use super::{Desk, Pending};
use crate::agents::instance::InstanceKey;
use crate::agents::set::SetKey;
use crate::agents::shard::Shard;
use crate::kubernetes::ObjectKey;

/// One instance of one agent's Hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    /// The agent's stream.
    pub session: u64,
    /// Which Hello of it.
    pub revision: u32,
    /// Which instance.
    pub index: u32,
}

/// What an agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Who, about what.
    pub seat: Seat,
    /// What.
    pub state: State,
}

/// What came of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was said yet.
    Unsaid,
    /// It will be written; why it is not yet.
    Waiting(Name),
    /// It stands in the object of this name.
    Registered(Name),
    /// It will not, as things are.
    Refused(Name),
    /// It stood, and does not any more.
    Left,
}

// === impl Desk ===

impl Desk {
    /// Says it once.
    pub(super) fn tell(&mut self, key: &InstanceKey, state: State) {
        let Some(wanted) = self.wanted.get_mut(key) else { return };
        if wanted.told != state {
            wanted.told = state.clone();
            self.news.push(News { seat: wanted.seat, state });
        }
    }

    /// Says so once one that leaves stands nowhere any more.
    pub(super) fn gone(&mut self, key: &InstanceKey) {
        if self.places.get(key).is_none_or(Places::is_empty)
            && let Some(seat) = self.leaving.remove(key)
        {
            self.news.push(News { seat, state: State::Left });
        }
    }

    /// Has a key looked at in a set.
    pub(super) fn touch(&mut self, set: SetKey, key: InstanceKey) {
        let pending = self.pending.entry(set.clone()).or_insert_with(|| {
            self.turns.push_back(set);
            Pending::default()
        });
        pending.keys.insert(key);
    }

    pub(super) fn touch_where_it_stands(&mut self, key: &InstanceKey) {
        let sets = self.places.get(key).into_iter().flatten();
        let sets: Vec<_> = sets.filter_map(|place| Some(self.shards.get(place)?.set.clone())).collect();
        sets.into_iter().for_each(|set| self.touch(set, key.clone()));
    }

    /// Whether a write that is under way may make it stand.
    pub(super) fn is_being_written(&self, key: &InstanceKey) -> bool {
        self.pending.values().any(|pending| pending.busy && pending.keys.contains(key))
    }

    pub(super) fn place(&mut self, at: &ObjectKey, shard: Shard) {
        for endpoint in shard.endpoints.keys() {
            self.places.entry(shard.key_of(endpoint)).or_default().insert(at.clone());
        }
        self.by_set.entry(shard.set.clone()).or_default().insert(at.clone());
        self.shards.insert(at.clone(), shard);
    }

    pub(super) fn unplace(&mut self, at: &ObjectKey, shard: &Shard) {
        for endpoint in shard.endpoints.keys() {
            let key = shard.key_of(endpoint);
            if let Some(places) = self.places.get_mut(&key) {
                places.remove(at);
                if places.is_empty() {
                    self.places.remove(&key);
                }
            }
        }
        if let Some(shards) = self.by_set.get_mut(&shard.set) {
            shards.remove(at);
            if shards.is_empty() {
                self.by_set.remove(&shard.set);
            }
        }
    }
}

// === impl Shard ===

impl Shard {
    /// Which endpoint it is, of those in this object.
    pub(super) fn key_of(&self, endpoint: &Name) -> InstanceKey {
        InstanceKey { service: self.set.service.clone(), endpoint: Name::clone(endpoint) }
    }
}
