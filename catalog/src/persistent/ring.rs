//! A change ring: how a reader that holds an old copy learns what changed since.

use std::collections::{VecDeque, vec_deque};
use std::slice;
use std::sync::Arc;

/// The last changes, bounded in keys and in publications. As part of a snapshot it is cloned at each publication, so
/// batches are kept in shared chunks: a clone costs a pointer for each chunk, a push copies one chunk at most.
#[derive(Clone, Debug)]
pub struct Ring<K> {
    /// Oldest first, none of them empty.
    chunks: VecDeque<Arc<Chunk<K>>>,
    keys: usize,
    keys_max: usize,
    /// Changes after this revision are all here.
    floor: u64,
}

/// What a reader at some revision has to look at.
#[derive(Clone, Debug)]
pub enum Changes<'a, K> {
    /// Nothing: it is up to date.
    None,
    /// These keys.
    Keys(ChangedKeys<'a, K>),
    /// Everything: its revision has left the ring.
    Resync,
}

/// Keys changed after a revision, newest first; a key that changed more than once occurs more than once.
#[derive(Clone, Debug)]
pub struct ChangedKeys<'a, K> {
    chunks: vec_deque::Iter<'a, Arc<Chunk<K>>>,
    batches: slice::Iter<'a, Arc<Batch<K>>>,
    keys: slice::Iter<'a, K>,
    after: u64,
}

#[derive(Debug)]
struct Chunk<K> {
    batches: Vec<Arc<Batch<K>>>,
    keys: usize,
}

#[derive(Debug)]
struct Batch<K> {
    revision: u64,
    keys: Box<[K]>,
}

/// Publications in a chunk at most.
const BATCHES: usize = 64;
/// Chunks in a ring at most: 4,096 publications.
const CHUNKS: usize = 64;
/// A chunk takes no further publication when it has this part of all keys, so that little is forgotten at a time.
const PART: usize = 16;

// === impl Ring ===

impl<K> Ring<K> {
    /// An empty ring that remembers `keys_max` keys at most, from revision 0 on.
    pub fn new(keys_max: usize) -> Self {
        Self { chunks: VecDeque::new(), keys: 0, keys_max, floor: 0 }
    }

    /// Appends a publication; revisions grow.
    pub fn push(&mut self, revision: u64, keys: Vec<K>) {
        let (count, part) = (keys.len(), self.keys_max / PART);
        let batch = Arc::new(Batch { revision, keys: keys.into() });
        self.keys += count;
        match self.chunks.back_mut() {
            Some(chunk) if chunk.batches.len() < BATCHES && chunk.keys + count <= part => {
                let chunk = Arc::make_mut(chunk);
                chunk.batches.push(batch);
                chunk.keys += count;
            }
            _ => self.chunks.push_back(Arc::new(Chunk { batches: vec![batch], keys: count })),
        }
        while self.keys > self.keys_max || self.chunks.len() > CHUNKS {
            self.forget_oldest_chunk();
        }
    }

    /// What changed after `seen`, for a reader of a copy at `now`.
    pub fn since(&self, seen: u64, now: u64) -> Changes<'_, K> {
        if seen == now {
            return Changes::None;
        }
        if seen < self.floor || seen > now {
            return Changes::Resync;
        }
        let (chunks, batches, keys) = (self.chunks.iter(), [].iter(), [].iter());
        Changes::Keys(ChangedKeys { chunks, batches, keys, after: seen })
    }

    fn forget_oldest_chunk(&mut self) {
        let Some(chunk) = self.chunks.pop_front() else { return };
        self.keys -= chunk.keys;
        self.floor = chunk.batches.last().map_or(self.floor, |batch| batch.revision);
    }
}

// === impl Chunk ===

impl<K> Clone for Chunk<K> {
    fn clone(&self) -> Self {
        let mut batches = Vec::with_capacity(BATCHES.min(self.batches.len() * 2));
        batches.extend(self.batches.iter().cloned());
        Self { batches, keys: self.keys }
    }
}

// === impl ChangedKeys ===

impl<'a, K> Iterator for ChangedKeys<'a, K> {
    type Item = &'a K;

    fn next(&mut self) -> Option<&'a K> {
        loop {
            if let Some(key) = self.keys.next() {
                return Some(key);
            }
            match self.batches.next_back() {
                Some(batch) if batch.revision <= self.after => return None,
                Some(batch) => self.keys = batch.keys.iter(),
                None => self.batches = self.chunks.next_back()?.batches.iter(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys<'a>(changes: Changes<'a, &'a str>) -> Vec<&'a str> {
        match changes {
            Changes::None => Vec::new(),
            Changes::Keys(keys) => keys.copied().collect(),
            Changes::Resync => vec!["resync"],
        }
    }

    #[test]
    fn a_reader_is_told_what_came_after_its_revision_newest_first() {
        let mut ring = Ring::new(1000);
        ring.push(1, vec!["a", "b"]);
        ring.push(2, vec!["c"]);
        ring.push(3, vec!["d"]);
        assert_eq!(keys(ring.since(0, 3)), ["d", "c", "a", "b"]);
        assert_eq!(keys(ring.since(1, 3)), ["d", "c"]);
        assert!(matches!(ring.since(3, 3), Changes::None));
    }

    #[test]
    fn a_revision_that_was_never_published_here_means_resync() {
        assert_eq!(keys(Ring::new(10).since(9, 3)), ["resync"]);
    }

    #[test]
    fn the_ring_is_bounded_by_keys_and_older_readers_resync() {
        let mut ring = Ring::new(4 * BATCHES);
        let last = 10 * BATCHES as u64;
        (1..=last).for_each(|revision| ring.push(revision, vec!["a"]));
        assert!(ring.keys <= 4 * BATCHES);
        assert_eq!(keys(ring.since(1, last)), ["resync"]);
        assert_eq!(keys(ring.since(last - BATCHES as u64, last)).len(), BATCHES);
        assert_eq!(keys(ring.since(ring.floor, last)).len(), ring.keys);
        assert_eq!(keys(ring.since(ring.floor - 1, last)), ["resync"]);
    }

    #[test]
    fn a_large_publication_does_not_push_out_the_one_after_it() {
        let mut ring = Ring::new(100);
        ring.push(1, vec!["a"; 90]);
        ring.push(2, vec!["b"; 20]);
        assert_eq!(keys(ring.since(1, 2)), ["b"; 20]);
        assert_eq!(keys(ring.since(0, 2)), ["resync"]);
    }

    #[test]
    fn one_publication_above_the_bound_leaves_an_empty_ring() {
        let mut ring = Ring::new(2);
        ring.push(1, vec!["a", "b", "c"]);
        assert_eq!((ring.keys, ring.chunks.len()), (0, 0));
        assert_eq!(keys(ring.since(0, 1)), ["resync"]);
        ring.push(2, vec!["d"]);
        assert_eq!(keys(ring.since(1, 2)), ["d"]);
    }

    #[test]
    fn the_ring_is_bounded_by_publications() {
        let mut ring = Ring::new(usize::MAX);
        let last = (2 * BATCHES * CHUNKS) as u64;
        (1..=last).for_each(|revision| ring.push(revision, vec!["a"]));
        assert_eq!(ring.chunks.len(), CHUNKS);
    }
}
