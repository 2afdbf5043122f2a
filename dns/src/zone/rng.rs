//! The cheap randomness that spreads callers over endpoints. Not for secrets.

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
    fn nothing_to_choose_from_is_fine() {
        let mut none = Vec::<u8>::new();
        Rng::from_entropy().choose(&mut none, 3);
        assert!(none.is_empty());
    }
}
