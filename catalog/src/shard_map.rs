//! A map whose copies are cheap: what one writer changes and many readers hold on to.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

/// A map in shards. A clone copies one pointer a shard, a change after a clone copies the one shard it falls into.
///
/// With 10,000 entries a shard holds about ten, so publishing after one change costs microseconds.
#[derive(Debug)]
pub struct ShardMap<K, V> {
    shards: Box<[Arc<BTreeMap<K, V>>]>,
    len: usize,
}

const SHARDS: usize = 1024;

// === impl ShardMap ===

impl<K, V> Clone for ShardMap<K, V> {
    fn clone(&self) -> Self {
        Self { shards: self.shards.clone(), len: self.len }
    }
}

impl<K, V> Default for ShardMap<K, V> {
    fn default() -> Self {
        let empty = Arc::new(BTreeMap::new());
        Self { shards: vec![empty; SHARDS].into_boxed_slice(), len: 0 }
    }
}

impl<K, V> ShardMap<K, V> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries. The order is the same for the same keys, but not theirs.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }
}

impl<K: Clone + Ord + Hash, V: Clone> ShardMap<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.shards[shard_of(key)].get(key)
    }

    /// Sets a value; returns the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = Arc::make_mut(&mut self.shards[shard_of(&key)]).insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes a key out; returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let shard = &mut self.shards[shard_of(key)];
        if !shard.contains_key(key) {
            return None;
        }
        self.len -= 1;
        Arc::make_mut(shard).remove(key)
    }
}

fn shard_of(key: &impl Hash) -> usize {
    let mut hasher = Xxh3::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_does_not_see_later_changes() {
        let mut map = ShardMap::default();
        map.insert("a", 1);
        let before = map.clone();
        map.insert("a", 2);
        map.insert("b", 3);
        assert_eq!((before.get(&"a"), before.get(&"b"), before.len()), (Some(&1), None, 1));
        assert_eq!(map.remove(&"a"), Some(2));
        assert_eq!(map.remove(&"a"), None);
        assert_eq!((map.len(), map.iter().collect::<Vec<_>>()), (1, vec![(&"b", &3)]));
    }
}
