//! A set of numbers in sorted blocks. A tree takes twice their size for millions of them: its nodes are half empty.

use std::ops::RangeInclusive;

/// Each once.
#[derive(Debug)]
pub(super) struct Sorted<T> {
    /// None of them empty; each sorted, and after the one before.
    blocks: Vec<Vec<T>>,
}

/// Numbers of a block at most: a change moves half of them.
const BLOCK_MAX: usize = 512;

// === impl Sorted ===

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<T: Ord + Copy> Sorted<T> {
    /// Puts one in; whether it was not there.
    pub(super) fn insert(&mut self, item: T) -> bool {
        let Some(at) = self.blocks.len().checked_sub(1).map(|last| self.block_of(item).min(last)) else {
            self.blocks.push(vec![item]);
            return true;
        };
        let block = &mut self.blocks[at];
        let Err(place) = block.binary_search(&item) else { return false };
        if block.len() < BLOCK_MAX {
            block.insert(place, item);
            return true;
        }
        // What comes in order leaves full blocks behind.
        if place == BLOCK_MAX {
            self.blocks.insert(at + 1, vec![item]);
            return true;
        }
        let next = block.split_off(BLOCK_MAX / 2);
        self.blocks.insert(at + 1, next);
        self.insert(item)
    }

    /// Takes one out; whether it was there.
    pub(super) fn remove(&mut self, item: T) -> bool {
        let at = self.block_of(item);
        let Some(block) = self.blocks.get_mut(at) else { return false };
        let Ok(place) = block.binary_search(&item) else { return false };
        block.remove(place);
        let len = block.len();
        match self.blocks.get(at + 1).map(Vec::len) {
            Some(next) if len + next <= BLOCK_MAX / 2 => {
                let mut next = self.blocks.remove(at + 1);
                self.blocks[at].append(&mut next);
            }
            Some(_) | None if len == 0 => _ = self.blocks.remove(at),
            Some(_) | None => {}
        }
        true
    }

    /// Those of a range, in order.
    pub(super) fn range(&self, range: RangeInclusive<T>) -> impl Iterator<Item = T> {
        let (first, last) = range.into_inner();
        let blocks = self.blocks[self.block_of(first)..].iter().flatten().copied();
        blocks.skip_while(move |item| *item < first).take_while(move |item| *item <= last)
    }

    /// The first block that ends with it or after it.
    fn block_of(&self, item: T) -> usize {
        self.blocks.partition_point(|block| block.last().is_some_and(|last| *last < item))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn behaves_as_a_set() {
        let (mut sorted, mut model) = (Sorted::default(), BTreeSet::new());
        // A fixed walk that grows to thousands, and then shrinks.
        for step in 0_u64..60_000 {
            let item = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 5_000;
            match step % 3 == 0 || step > 30_000 {
                true => assert_eq!(sorted.remove(item), model.remove(&item), "{step}"),
                false => assert_eq!(sorted.insert(item), model.insert(item), "{step}"),
            }
            if step % 1_000 == 0 {
                let range = item / 2..=item;
                assert!(sorted.range(range.clone()).eq(model.range(range).copied()), "{step}");
                assert!(sorted.range(0..=u64::MAX).eq(model.iter().copied()), "{step}");
                assert!(sorted.blocks.iter().all(|block| (1..=BLOCK_MAX).contains(&block.len())), "{step}");
            }
        }
        assert!(model.into_iter().all(|item| sorted.remove(item)) && sorted.blocks.is_empty());
    }

    #[test]
    fn what_comes_in_order_fills_its_blocks() {
        let mut sorted = Sorted::default();
        assert!((0..10 * BLOCK_MAX).all(|item| sorted.insert(item)));
        assert_eq!(sorted.blocks.len(), 10);
        assert!(!sorted.insert(7) && !sorted.remove(10 * BLOCK_MAX));
        assert_eq!(sorted.range(5_000..=5_003).collect::<Vec<_>>(), [5_000, 5_001, 5_002, 5_003]);
    }
}
