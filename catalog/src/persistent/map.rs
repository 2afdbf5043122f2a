//! A map whose clones are free: a tree of fixed depth, cut by the hash of the key.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Children of a node. Two levels give 4,096 leaves: about a dozen entries each at 50,000.
const FANOUT: usize = 64;

/// A map that is cheap to copy. A clone shares everything; a write after it copies one node of each level (2 × 64
/// pointers) and one leaf. Nothing is copied by a removal of what is not there.
pub struct Map<K, V> {
    root: Arc<Node<Node<Leaf<K, V>>>>,
    len: usize,
}

/// What is empty is not there.
struct Node<T>([Option<Arc<T>>; FANOUT]);

/// Sorted by key.
#[derive(Clone)]
struct Leaf<K, V>(Vec<(K, V)>);

/// A hash of few short writes: one that takes any number of them has half a kilobyte to set up first.
#[derive(Default)]
struct Place(u64);

// === impl Map ===

impl<K, V> Map<K, V> {
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
        let branches = self.root.0.iter().flatten();
        branches.flat_map(|branch| branch.0.iter().flatten()).flat_map(|leaf| &leaf.0).map(|(key, value)| (key, value))
    }

    /// The value of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Ord + ?Sized,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// A key as it stands here, and its value.
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
        Q: Hash + Ord + ?Sized,
    {
        let (high, low) = place(key);
        let leaf = &self.root.0[high].as_ref()?.0[low].as_ref()?.0;
        leaf.binary_search_by(|(other, _)| other.borrow().cmp(key)).ok().map(|at| (&leaf[at].0, &leaf[at].1))
    }
}

impl<K: Clone + Hash + Ord, V: Clone> Map<K, V> {
    /// Sets a value; returns the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (high, low) = place(&key);
        let branch = Arc::make_mut(&mut self.root).0[high].get_or_insert_default();
        let leaf = &mut Arc::make_mut(Arc::make_mut(branch).0[low].get_or_insert_default()).0;
        match leaf.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(at) => Some(std::mem::replace(&mut leaf[at].1, value)),
            Err(at) => {
                // It would double, and there are thousands of them.
                leaf.reserve_exact(if leaf.len() < leaf.capacity() { 1 } else { 1 + leaf.len() / 8 });
                leaf.insert(at, (key, value));
                self.len += 1;
                None
            }
        }
    }

    /// Takes a key out; returns its value.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Ord + ?Sized,
    {
        self.get(key)?;
        let (high, low) = place(key);
        let branch = Arc::make_mut(&mut self.root).0[high].as_mut()?;
        let leaf = &mut Arc::make_mut(Arc::make_mut(branch).0[low].as_mut()?).0;
        let at = leaf.binary_search_by(|(other, _)| other.borrow().cmp(key)).ok()?;
        self.len -= 1;
        Some(leaf.remove(at).1)
    }
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self { root: Arc::clone(&self.root), len: self.len }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { root: Arc::default(), len: 0 }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

// === impl Node ===

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        Self(std::array::from_fn(|at| self.0[at].clone()))
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| None))
    }
}

// === impl Leaf ===

impl<K, V> Default for Leaf<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

// === impl Place ===

impl Hasher for Place {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn place<Q: Hash + ?Sized>(key: &Q) -> (usize, usize) {
    let mut hasher = Place::default();
    key.hash(&mut hasher);
    // The lowest twelve bits; a place in the tree has no meaning elsewhere.
    let hash = hasher.finish() as usize;
    (hash % FANOUT, hash / FANOUT % FANOUT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn behaves_as_a_map() {
        let (mut map, mut model) = (Map::<Arc<str>, u32>::default(), BTreeMap::new());
        // A fixed walk over 3,000 names that adds, changes and removes: every name is visited several times.
        for step in 0_u32..20_000 {
            let name = Arc::<str>::from(format!("shop/svc-{}", step.wrapping_mul(2_654_435_761) % 3_000));
            if step % 3 == 0 {
                assert_eq!(map.remove(&*name), model.remove(&name));
            } else {
                assert_eq!(map.insert(Arc::clone(&name), step), model.insert(name, step));
            }
            assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
        }
        assert_eq!(map.iter().collect::<BTreeMap<_, _>>(), model.iter().collect::<BTreeMap<_, _>>());
        assert!(model.iter().all(|(name, value)| map.get(&**name) == Some(value)));
    }

    #[test]
    fn a_clone_does_not_see_later_changes() {
        let mut map = Map::default();
        map.insert("a", 1);
        let before = map.clone();
        map.insert("a", 2);
        map.insert("b", 3);
        assert_eq!((before.get("a"), before.get("b"), before.len()), (Some(&1), None, 1));
        assert_eq!(map.remove("a"), Some(2));
        assert_eq!(map.remove("a"), None);
        assert_eq!((map.len(), map.iter().collect::<Vec<_>>()), (1, vec![(&"b", &3)]));
    }

    #[test]
    fn a_write_copies_one_path_and_shares_the_rest() {
        let mut map = Map::default();
        (0..50_000).for_each(|n| assert!(map.insert(format!("shop/svc-{n}"), 1).is_none()));
        let old = map.clone();
        map.insert("shop/svc-7".to_owned(), 2);
        let differ = |(old, new): &(&Arc<_>, &Arc<_>)| !Arc::ptr_eq(old, new);
        let branches = || old.root.0.iter().flatten().zip(map.root.0.iter().flatten());
        assert_eq!(branches().filter(differ).count(), 1);
        let leaves = branches().flat_map(|(old, new)| old.0.iter().flatten().zip(new.0.iter().flatten()));
        assert_eq!(leaves.filter(|(old, new)| !Arc::ptr_eq(old, new)).count(), 1);
        let leaves = map.root.0.iter().flatten().flat_map(|branch| branch.0.iter().flatten());
        let largest = leaves.map(|leaf| leaf.0.len()).max();
        assert!(largest < Some(64), "a leaf of {largest:?} entries: copying it is no longer cheap");
    }

    #[test]
    fn a_missing_removal_copies_nothing() {
        let mut map = Map::default();
        map.insert("a", 1);
        let old = map.clone();
        assert_eq!(map.remove("b"), None);
        assert!(Arc::ptr_eq(&old.root, &map.root));
    }
}
