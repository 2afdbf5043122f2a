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

    /// As [`Self::places`], and the same numbers in the same order, into the beginning of `places`: how many. `None`, and
    /// nothing drawn, when there is no room.
    pub fn fill(&mut self, places: &mut [u16], len: usize, max: usize) -> Option<usize> {
        let last = u16::try_from(len).ok()?;
        if len <= max.saturating_mul(4) {
            let all = places.get_mut(..len)?;
            all.iter_mut().zip(0..last).for_each(|(place, n)| *place = n);
            return Some(self.shuffle(all, max));
        }
        let some = places.get_mut(..max)?;
        let mut count = 0;
        while count < max {
            // Below `len`, which is one.
            let place = self.below(len) as u16;
            if !some[..count].contains(&place) {
                some[count] = place;
                count += 1;
            }
        }
        Some(max)
    }

    /// A random choice of at most `max` items in random order, every subset and order as likely as any other.
    pub fn choose<T>(&mut self, items: &mut Vec<T>, max: usize) {
        let chosen = self.shuffle(items, max);
        items.truncate(chosen);
    }

    /// The same at the beginning of `items`: how many.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T], max: usize) -> usize {
        let chosen = max.min(items.len());
        for i in 0..chosen {
            let j = i + self.below(items.len() - i);
            items.swap(i, j);
        }
        chosen
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
    fn places_are_the_same_with_and_without_an_allocation() {
        for (len, max) in [(0, 5), (1, 5), (5, 5), (20, 5), (21, 5), (500, 78), (312, 78), (3, 0), (0, 0)] {
            let (mut a, mut b, mut room) = (Rng::with_seed(9), Rng::with_seed(9), [0; 320]);
            let count = a.fill(&mut room, len, max).unwrap();
            let filled: Vec<_> = room[..count].iter().map(|place| usize::from(*place)).collect();
            assert_eq!(filled, b.places(len, max), "{len} {max}");
            assert_eq!(a.next(), b.next());
        }
        assert_eq!(Rng::with_seed(9).fill(&mut [0; 3], 4, 9), None);
        assert_eq!(Rng::with_seed(9).fill(&mut [0; 3], 70_000, 3), None);
    }

    #[test]
    fn nothing_to_choose_from_is_fine() {
        let mut none = Vec::<u8>::new();
        Rng::from_entropy().choose(&mut none, 3);
        assert!(none.is_empty());
    }
}
