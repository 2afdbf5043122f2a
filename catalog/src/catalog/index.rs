//! Which services, and which identities in them, have to do with a pod, a node or an address.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::model::ServiceKey;

/// How often each (key, service, detail) was added. Ordered, so that a key, or a range of them, is found at once.
#[derive(Debug)]
pub(super) struct Index<K, V> {
    entries: BTreeMap<(K, Arc<ServiceKey>, V), u32>,
    /// Before every service.
    least: Arc<ServiceKey>,
}

// === impl Index ===

impl<K: Ord + Copy, V: Ord + Copy + Default> Index<K, V> {
    pub(super) fn add(&mut self, key: K, service: &Arc<ServiceKey>, detail: V) {
        *self.entries.entry((key, Arc::clone(service), detail)).or_default() += 1;
    }

    pub(super) fn remove(&mut self, key: K, service: &Arc<ServiceKey>, detail: V) {
        let entry = (key, Arc::clone(service), detail);
        if let Some(count) = self.entries.get_mut(&entry) {
            *count -= 1;
            if *count == 0 {
                self.entries.remove(&entry);
            }
        }
    }

    /// What was added for a key.
    pub(super) fn of(&self, key: K) -> impl Iterator<Item = (&Arc<ServiceKey>, V)> {
        self.within(key..=key)
    }

    /// What was added for the keys of a range.
    pub(super) fn within(&self, keys: RangeInclusive<K>) -> impl Iterator<Item = (&Arc<ServiceKey>, V)> {
        let (first, last) = keys.into_inner();
        let from = (first, Arc::clone(&self.least), V::default());
        self.entries
            .range(from..)
            .take_while(move |((key, ..), _)| *key <= last)
            .map(|((_, service, detail), _)| (service, *detail))
    }
}

impl<K: Ord, V: Ord> Default for Index<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), least: Arc::new(ServiceKey::new("", "")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_twice_is_there_until_it_was_removed_twice() {
        let mut index: Index<u64, u64> = Index::default();
        let (a, b) = (Arc::new(ServiceKey::new("shop", "a")), Arc::new(ServiceKey::new("shop", "b")));
        for (key, service, detail) in [(1, &a, 7), (1, &a, 7), (1, &b, 8), (2, &a, 9)] {
            index.add(key, service, detail);
        }
        index.remove(1, &a, 7);
        assert_eq!(index.of(1).collect::<Vec<_>>(), [(&a, 7), (&b, 8)]);
        index.remove(1, &a, 7);
        index.remove(1, &a, 7);
        assert_eq!(index.of(1).collect::<Vec<_>>(), [(&b, 8)]);
        assert_eq!(index.within(1..=2).collect::<Vec<_>>(), [(&b, 8), (&a, 9)]);
        assert_eq!(index.of(3).count(), 0);
    }
}
