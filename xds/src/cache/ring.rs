use std::{collections::VecDeque, sync::Arc};

use crate::resource::ResourceType;

#[cfg(test)]
mod tests;

/// A resource by type and name.
pub type Key = (ResourceType, Arc<str>);

/// What a reader at some revision has to look at.
#[derive(Debug)]
pub enum Changes<'a> {
    /// Nothing: it is up to date.
    None,
    /// These keys.
    Keys(ChangedKeys<'a>),
    /// Everything: its revision has left the ring.
    Resync,
}

/// Keys changed after a revision, newest first.
#[derive(Clone, Debug)]
pub struct ChangedKeys<'a> {
    chunks: std::collections::vec_deque::Iter<'a, Arc<Vec<Arc<Batch>>>>,
    batches: std::slice::Iter<'a, Arc<Batch>>,
    keys: std::slice::Iter<'a, Key>,
    after: u64,
}

/// The last changes, bounded. As part of a snapshot it is cloned at each publication, so batches are kept in shared
/// chunks: a clone costs a pointer per chunk, a push copies one chunk.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    /// Oldest first, none of them empty.
    chunks: VecDeque<Arc<Vec<Arc<Batch>>>>,
    keys: usize,
    keys_max: usize,
    /// Changes after this revision are all here.
    floor: u64,
}

#[derive(Debug)]
struct Batch {
    revision: u64,
    keys: Box<[Key]>,
}

/// Batches per chunk.
const CHUNK: usize = 64;
/// Chunks in a ring.
const CHUNKS_MAX: usize = 64;

// === impl Ring ===

impl Ring {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { chunks: VecDeque::new(), keys: 0, keys_max, floor: 0 }
    }

    pub(super) fn push(&mut self, revision: u64, keys: Vec<Key>) {
        self.keys += keys.len();
        let batch = Arc::new(Batch { revision, keys: keys.into() });
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() < CHUNK => Arc::make_mut(chunk).push(batch),
            _ => self.chunks.push_back(Arc::new(vec![batch])),
        }
        while self.keys > self.keys_max || self.chunks.len() > CHUNKS_MAX {
            self.forget_oldest_chunk();
        }
    }

    pub(super) fn since(&self, revision: u64, current: u64) -> Changes<'_> {
        if revision == current {
            return Changes::None;
        }
        if revision < self.floor || revision > current {
            return Changes::Resync;
        }
        let (chunks, batches, keys) = (self.chunks.iter(), [].iter(), [].iter());
        Changes::Keys(ChangedKeys { chunks, batches, keys, after: revision })
    }

    fn forget_oldest_chunk(&mut self) {
        for batch in self.chunks.pop_front().iter().flat_map(|chunk| chunk.iter()) {
            self.keys -= batch.keys.len();
            self.floor = batch.revision;
        }
    }
}

// === impl ChangedKeys ===

impl<'a> Iterator for ChangedKeys<'a> {
    type Item = (ResourceType, &'a Arc<str>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((ty, name)) = self.keys.next() {
                return Some((*ty, name));
            }
            match self.batches.next_back() {
                Some(batch) if batch.revision <= self.after => return None,
                Some(batch) => self.keys = batch.keys.iter(),
                None => self.batches = self.chunks.next_back()?.iter(),
            }
        }
    }
}
