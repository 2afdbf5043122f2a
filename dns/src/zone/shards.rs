//! A map that one writer changes while many threads read: no reader waits, and a change copies one small shard.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwap;

/// A map in shards. Each shard is a sorted list behind an atomic pointer.
///
/// A reader takes the pointer and searches: no lock, no waiting. The writer copies a shard, changes the copy and swaps
/// the pointer. The shard of a key is chosen with a secret hash, so nobody can fill one shard by choice of names.
#[derive(Debug)]
pub struct Shards<K, V> {
    shards: Box<[Shard<K, V>]>,
    hasher: RandomState,
}

/// Sorted by key.
type Shard<K, V> = ArcSwap<Vec<(K, V)>>;

// === impl Shards ===

impl<K: Hash + Ord + Clone, V: Clone> Shards<K, V> {
    /// An empty map. Take about one shard for each ten entries to be held: copies are then a few hundred bytes.
    pub fn new(shards: usize) -> Self {
        let empty = Arc::new(Vec::new());
        let shards = (0..shards.max(1)).map(|_| ArcSwap::new(Arc::clone(&empty))).collect();
        Self { shards, hasher: RandomState::new() }
    }

    /// The value of a key.
    pub fn get<Q: Hash + Ord + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let shard = self.shards[self.shard_of(key)].load();
        let at = shard.binary_search_by(|(held, _)| held.borrow().cmp(key)).ok()?;
        Some(shard[at].1.clone())
    }

    /// All values, in no order: of each shard as it is when its turn comes.
    pub fn values(&self) -> Vec<V> {
        self.shards
            .iter()
            .flat_map(|shard| shard.load().iter().map(|(_, value)| value.clone()).collect::<Vec<_>>())
            .collect()
    }

    /// Sets the keys that come with a value, takes out those that come with none. Each shard is copied once, whatever
    /// the number of changes in it. For the one writer alone: of two at once, one would lose its changes.
    pub fn apply(&self, changes: impl IntoIterator<Item = (K, Option<V>)>) {
        let mut by_shard = BTreeMap::<usize, Vec<_>>::new();
        for (key, value) in changes {
            by_shard.entry(self.shard_of(&key)).or_default().push((key, value));
        }
        for (shard, changes) in by_shard {
            let mut entries = Vec::clone(&self.shards[shard].load());
            for (key, value) in changes {
                match (entries.binary_search_by(|(held, _)| held.cmp(&key)), value) {
                    (Ok(at), Some(value)) => entries[at].1 = value,
                    (Ok(at), None) => drop(entries.remove(at)),
                    (Err(at), Some(value)) => entries.insert(at, (key, value)),
                    (Err(_), None) => {}
                }
            }
            entries.shrink_to_fit();
            self.shards[shard].store(Arc::new(entries));
        }
    }

    fn shard_of<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        // The remainder is below the number of shards, a usize.
        (self.hasher.hash_one(key) % self.shards.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_set_changed_and_taken_out() {
        let map = Shards::<Arc<str>, u32>::new(2);
        map.apply((0..50).map(|n| (Arc::from(format!("k{n}")), Some(n))));
        assert!((0..50).all(|n| map.get(format!("k{n}").as_str()) == Some(n)));
        map.apply([(Arc::from("k7"), None), (Arc::from("k8"), Some(80)), (Arc::from("nobody"), None)]);
        assert_eq!((map.get("k7"), map.get("k8"), map.get("k9"), map.get("nobody")), (None, Some(80), Some(9), None));
    }
}
