//! A map that one writer changes while many threads read: no reader waits, and a change copies one small shard.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

/// A map in shards. Each shard is a list behind an atomic pointer, sorted by a mark: a part of the key's hash.
///
/// A reader takes the pointer and searches: no lock, no waiting. Marks lie beside the keys and are spread evenly, so a search begins
/// about where it ends, and looks at no key but those whose marks are right: of a key that is not there almost always at
/// none. The writer copies a shard, changes the copy and swaps the pointer. The hash is a secret one: nobody can fill one
/// shard, or give many keys one mark, by choice of names.
#[derive(Debug)]
pub struct Shards<K, V> {
    shards: Box<[Shard<K, V>]>,
    hasher: RandomState,
}

/// Sorted by mark. It begins with the first key that comes into it, and stays: most of a small map's shards never do, and are neither
/// made nor, when the map goes, waited for by way of whatever threads read them.
type Shard<K, V> = OnceLock<ArcSwap<Vec<Entry<K, V>>>>;

#[derive(Clone, Debug)]
struct Entry<K, V> {
    mark: u32,
    key: K,
    value: V,
}

/// Where a key is: its shard, and what it is marked with there. Of the hash each has a half.
#[derive(Clone, Copy, Debug)]
struct Seat {
    shard: usize,
    mark: u32,
}

// === impl Shards ===

impl<K: Hash + Eq + Clone, V: Clone> Shards<K, V> {
    /// An empty map. Take about one shard for each ten entries to be held: copies are then a few hundred bytes.
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards.max(1)).map(|_| OnceLock::new()).collect(), hasher: RandomState::new() }
    }

    /// The value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let seat = self.seat(key);
        let entries = self.shards[seat.shard].get()?.load();
        let at = find(&entries, seat.mark, key).ok()?;
        Some(entries[at].value.clone())
    }

    /// All values, in no order: of each shard as it is when its turn comes.
    pub fn values(&self) -> Vec<V> {
        self.shards
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|shard| shard.load().iter().map(|entry| entry.value.clone()).collect::<Vec<_>>())
            .collect()
    }

    /// Sets the keys that come with a value, takes out those that come with none. Each shard is copied once, whatever
    /// the number of changes in it. For the one writer alone: of two at once, one would lose its changes.
    pub fn apply(&self, changes: impl IntoIterator<Item = (K, Option<V>)>) {
        let mut by_shard = BTreeMap::<usize, Vec<_>>::new();
        for (key, value) in changes {
            let Seat { shard, mark } = self.seat(&key);
            by_shard.entry(shard).or_default().push((mark, key, value));
        }
        for (shard, changes) in by_shard {
            let shard = &self.shards[shard];
            let mut entries = shard.get().map(|shard| Vec::clone(&shard.load())).unwrap_or_default();
            for (mark, key, value) in changes {
                match (find(&entries, mark, &key), value) {
                    (Ok(at), Some(value)) => entries[at].value = value,
                    (Ok(at), None) => drop(entries.remove(at)),
                    (Err(at), Some(value)) => entries.insert(at, Entry { mark, key, value }),
                    (Err(_), None) => {}
                }
            }
            entries.shrink_to_fit();
            match shard.get() {
                Some(shard) => shard.store(Arc::new(entries)),
                None if entries.is_empty() => {}
                None => _ = shard.set(ArcSwap::from_pointee(entries)),
            }
        }
    }

    fn seat<Q: Hash + ?Sized>(&self, key: &Q) -> Seat {
        let hash = self.hasher.hash_one(key);
        // The lower half, spread over the shards: below their number, a usize.
        let shard = (u64::from(hash as u32) * self.shards.len() as u64) >> 32;
        Seat { shard: shard as usize, mark: (hash >> 32) as u32 }
    }
}

/// The place of a key, or where it would be.
fn find<K: Borrow<Q>, V, Q: Eq + ?Sized>(entries: &[Entry<K, V>], mark: u32, key: &Q) -> Result<usize, usize> {
    // Marks are spread evenly: this is about its place, and below the number of entries, a usize.
    let mut at = ((u64::from(mark) * entries.len() as u64) >> 32) as usize;
    while at > 0 && entries[at - 1].mark >= mark {
        at -= 1;
    }
    while let Some(entry) = entries.get(at) {
        if entry.mark > mark || (entry.mark == mark && entry.key.borrow() == key) {
            return if entry.mark == mark { Ok(at) } else { Err(at) };
        }
        at += 1;
    }
    Err(at)
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

    #[test]
    fn keys_of_one_mark_are_told_apart() {
        let marked = |marks: &[(u32, char)]| -> Vec<Entry<char, ()>> {
            marks.iter().map(|(mark, key)| Entry { mark: *mark, key: *key, value: () }).collect()
        };
        let entries = marked(&[(0, 'a'), (7, 'b'), (7, 'c'), (7, 'd'), (u32::MAX, 'e'), (u32::MAX, 'f')]);
        for (at, entry) in entries.iter().enumerate() {
            assert_eq!(find(&entries, entry.mark, &entry.key), Ok(at));
        }
        for (mark, place) in [(0, 1), (1, 1), (7, 4), (8, 4), (u32::MAX, 6)] {
            assert_eq!(find(&entries, mark, &'x'), Err(place), "{mark}");
        }
        assert_eq!(find(&marked(&[]), 7, &'x'), Err(0));
    }

    #[test]
    fn marks_take_no_room_beside_addresses() {
        use crate::zone::holders::Holders;
        use std::net::IpAddr;
        assert_eq!(size_of::<Entry<IpAddr, Holders>>(), size_of::<(IpAddr, Holders)>());
    }
}
