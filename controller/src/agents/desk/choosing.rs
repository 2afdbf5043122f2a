//! The next write of a set: which object, and what is to be put into it or taken out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rollcall_catalog::model::Name;
use xxhash_rust::xxh3::xxh3_64;

use super::{Desk, State, Write};
use crate::agents::instance::{Instance, InstanceKey};
use crate::agents::set::SetKey;
use crate::agents::shard::{ENDPOINTS_MAX, Shard};
use crate::kubernetes::ObjectKey;

/// What one key comes to in one set.
enum Step {
    /// Nothing is to be done.
    Settled,
    /// It stands in this object as it should.
    Stands(ObjectKey),
    /// It is to stand in this object, as this says.
    Put(ObjectKey, Arc<Instance>),
    /// It is to stand in any object of the set that has room.
    PutAnywhere(Arc<Instance>),
    /// It is to leave this object.
    Remove(ObjectKey),
}

// === impl Desk ===

impl Desk {
    /// The next write of a set. Keys for which nothing is to be done are not pending any more.
    pub(super) fn write(&mut self, set: &SetKey) -> Option<Write> {
        let keys = self.pending.get(set)?.keys.clone();
        let mut write: Option<Write> = None;
        let mut settled = BTreeSet::new();
        for key in keys {
            let is_alone = self.wanted.get(&key).is_some_and(|wanted| wanted.alone);
            let step = self.step(set, &key);
            match (&step, &mut write) {
                (Step::Settled | Step::Stands(_), _) => {}
                (Step::Put(to, _) | Step::Remove(to), None) => write = Some(self.open(set, Some(to))),
                (Step::PutAnywhere(instance), None) => write = Some(self.open_with_room(set, instance)),
                // One that was refused goes by itself, or after those that were not.
                (_, Some(_)) if is_alone => continue,
                (Step::Put(to, _) | Step::Remove(to), Some(open)) if *to != open.key => continue,
                (Step::PutAnywhere(_), Some(open)) if open.shard.endpoints.len() >= ENDPOINTS_MAX => continue,
                _ => {}
            }
            match (step, &mut write) {
                (Step::Settled, _) => {
                    self.gone(&key);
                    _ = settled.insert(key);
                }
                (Step::Stands(place), _) => {
                    self.tell(&key, State::Registered(Name::clone(&place.name)));
                    _ = settled.insert(key);
                }
                (Step::Put(_, instance) | Step::PutAnywhere(instance), Some(open)) => {
                    let endpoint = open.shard.endpoint_of(&instance);
                    open.shard.endpoints.insert(Name::clone(&key.endpoint), endpoint);
                    open.keys.push(key);
                }
                (Step::Remove(_), Some(open)) => {
                    open.shard.endpoints.remove(&key.endpoint);
                    open.keys.push(key);
                }
                (_, None) => {}
            }
            if is_alone && write.as_ref().is_some_and(|write| !write.keys.is_empty()) {
                break;
            }
        }
        if let Some(pending) = self.pending.get_mut(set) {
            pending.keys.retain(|key| !settled.contains(key));
        }
        write
    }

    /// What one key comes to in one set.
    fn step(&self, set: &SetKey, key: &InstanceKey) -> Step {
        let here: Vec<_> = self.places.get(key).into_iter().flatten().filter(|place| self.is_of(place, set)).collect();
        let leaves = here.first().map_or(Step::Settled, |place| Step::Remove(ObjectKey::clone(place)));
        let Some(wanted) = self.wanted.get(key) else {
            return if self.leaving.contains_key(key) { leaves } else { Step::Settled };
        };
        let own = wanted.instance.set.key();
        if own != *set {
            // It comes there before it goes here.
            let stands = self.places.get(key).into_iter().flatten().any(|place| self.is_of(place, &own));
            return if stands { leaves } else { Step::Settled };
        }
        match &*here {
            [] => Step::PutAnywhere(Arc::clone(&wanted.instance)),
            [place] => {
                let shard = self.shards.get(*place);
                let stands = shard.and_then(|shard| shard.endpoints.get(&key.endpoint));
                let should = shard.map(|shard| shard.endpoint_of(&wanted.instance));
                let is_good = stands == should.as_ref() || stands == wanted.made_of_it.as_ref();
                match is_good {
                    true => Step::Stands(ObjectKey::clone(place)),
                    false => Step::Put(ObjectKey::clone(place), Arc::clone(&wanted.instance)),
                }
            }
            [.., last] => Step::Remove(ObjectKey::clone(last)),
        }
    }

    fn is_of(&self, place: &ObjectKey, set: &SetKey) -> bool {
        self.shards.get(place).is_some_and(|shard| shard.set == *set)
    }

    fn open(&self, set: &SetKey, key: Option<&ObjectKey>) -> Write {
        let standing = key.and_then(|key| Some((key.clone(), self.shards.get(key)?.clone())));
        let (key, shard) = standing.unwrap_or_else(|| {
            let key = ObjectKey { namespace: Name::clone(&set.service.namespace), name: "".into() };
            let spec = Arc::default();
            let (version, uid) = (String::new(), String::new());
            (key, Shard { version, uid, set: set.clone(), spec, endpoints: BTreeMap::new() })
        });
        Write { key, shard, keys: Vec::new() }
    }

    /// An object with room, or a new one.
    fn open_with_room(&mut self, set: &SetKey, instance: &Instance) -> Write {
        let has_room =
            |key: &&ObjectKey| self.shards.get(*key).is_some_and(|shard| shard.endpoints.len() < ENDPOINTS_MAX);
        if let Some(key) = self.by_set.get(set).and_then(|shards| shards.iter().find(has_room)) {
            return self.open(set, Some(key));
        }
        self.salt = self.salt.wrapping_add(1);
        let tail = xxh3_64(format!("{}/{}/{}", set.hash, instance.key.endpoint, self.salt).as_bytes()) as u32;
        let service = &set.service.name[..set.service.name.len().min(54)];
        let name = format!("{}-{tail:08x}", service.trim_end_matches('-'));
        let key = ObjectKey { namespace: Name::clone(&set.service.namespace), name: name.into() };
        Write { key, shard: Shard::new(&instance.set), keys: Vec::new() }
    }
}
