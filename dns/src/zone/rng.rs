//! The cheap randomness that spreads callers over endpoints. Not for secrets.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// A generator (splitmix64), one for each worker.
#[derive(Clone, Debug)]
pub struct Rng(u64);

// === impl Rng ===

impl Rng {
    /// The same seed gives the same order: for tests.
    pub fn with_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that differs between workers and starts.
    pub fn from_entropy() -> Self {
        Self(RandomState::new().hash_one(0_u64))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        // Multiply and shift: the bias for bounds this small is far below what a resolver could see.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A random choice of at most `max` items of a list, in random order, at a cost that grows with `max` and not with the
    /// list.
    pub fn choose_from<T: Clone>(&mut self, items: &[T], max: usize) -> Vec<T> {
        self.places(items.len(), max).into_iter().map(|place| items[place].clone()).collect()
    }

    /// At most `max` different numbers below `len`, every set and order of them as likely as any other.
    pub fn places(&mut self, len: usize, max: usize) -> Vec<usize> {
        if len <= max.saturating_mul(4) {
            let mut all = (0..len).collect();
            self.choose(&mut all, max);
            return all;
        }
        // So few of so many: one that was there before comes up at most every fourth time.
        let (mut places, mut seen) = (Vec::with_capacity(max), HashSet::with_capacity(max));
        while places.len() < max {
            let place = self.below(len);
            if seen.insert(place) {
                places.push(place);
            }
        }
        places
    }

    /// A random choice of at most `max` items in random order, every subset and order as likely as any other.
    pub fn choose<T>(&mut self, items: &mut Vec<T>, max: usize) {
        let chosen = max.min(items.len());
        for i in 0..chosen {
            let j = i + self.below(items.len() - i);
            items.swap(i, j);
        }
        items.truncate(chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_comes_first_about_equally_often() {
        let (mut rng, mut firsts) = (Rng::with_seed(7), [0_u32; 5]);
        for _ in 0..5000 {
            let mut items = vec![0, 1, 2, 3, 4];
            rng.choose(&mut items, 2);
            assert_eq!(items.len(), 2);
            assert_ne!(items[0], items[1]);
            firsts[items[0]] += 1;
        }
        assert!(firsts.iter().all(|count| (850..1150).contains(count)), "{firsts:?}");
    }

    #[test]
    fn a_few_of_many_are_distinct_and_each_is_chosen_now_and_then() {
        let (mut rng, items) = (Rng::with_seed(7), (0..500_u16).collect::<Vec<_>>());
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let chosen = rng.choose_from(&items, 10);
            let distinct: std::collections::BTreeSet<_> = chosen.iter().copied().collect();
            assert_eq!((chosen.len(), distinct.len()), (10, 10));
            seen.extend(distinct);
        }
        assert_eq!(seen.len(), 500);
        assert_eq!(rng.choose_from(&items[..3], 10).len(), 3);
        assert_eq!(rng.choose_from(&items, 400).len(), 400);
    }

    #[test]
    fn nothing_to_choose_from_is_fine() {
        let mut none = Vec::<u8>::new();
        Rng::from_entropy().choose(&mut none, 3);
        assert!(none.is_empty());
    }
}
