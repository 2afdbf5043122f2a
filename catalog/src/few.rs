//! A map of few entries, in one piece. A node of a tree has room for eleven, and most of what is kept by the hundred thousand has
//! one or two.

/// Sorted by key. What is far more than a few costs as many moves with each change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Few<K, V>(Vec<(K, V)>);

/// So many are given exactly the room that they need.
const EXACT: usize = 4;

// === impl Few ===

impl<K, V> Few<K, V> {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> + DoubleEndedIterator {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> + DoubleEndedIterator {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> + DoubleEndedIterator {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> Few<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|at| &self.0[at].1)
    }

    /// Whether it has a value.
    pub fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_ok()
    }

    /// Sets a value; returns the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                if self.0.len() < EXACT {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes a key out; returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.place(key).ok().map(|at| self.0.remove(at).1)
    }

    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| own.cmp(key))
    }
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn behaves_as_a_map() {
        let (mut few, mut model) = (Few::default(), BTreeMap::new());
        for step in 0_u32..2_000 {
            let key = step.wrapping_mul(2_654_435_761) % 20;
            match step % 3 {
                0 => assert_eq!(few.remove(&key), model.remove(&key)),
                _ => assert_eq!(few.insert(key, step), model.insert(key, step)),
            }
            assert!(few.iter().eq(model.iter()) && few.keys().rev().eq(model.keys().rev()));
            assert!(few.values().eq(model.values()) && few.len() == model.len() && few.is_empty() == model.is_empty());
            assert_eq!((few.get(&key), few.contains_key(&key)), (model.get(&key), model.contains_key(&key)));
        }
    }

    #[test]
    fn one_entry_has_room_for_one() {
        let mut few = Few::default();
        few.insert("a", 1);
        assert_eq!(few.0.capacity(), 1);
    }
}
