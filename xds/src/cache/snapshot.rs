use super::{
    ring::{Changes, Key, Ring},
    shards::Shards,
};
use crate::resource::{PerType, Resource, ResourceType};

/// The catalog at one revision. Immutable once published; clones and successors share what is equal.
#[derive(Clone, Debug)]
pub struct Snapshot {
    revision: u64,
    shards: PerType<Shards>,
    ring: Ring,
}

// === impl Snapshot ===

impl Snapshot {
    pub(super) fn empty(ring_keys_max: usize) -> Self {
        Self { revision: 0, shards: PerType::default(), ring: Ring::new(ring_keys_max) }
    }

    /// Counts publications of this process, from 1. It orders snapshots within a process and means nothing elsewhere;
    /// clients are told content versions.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The resource of that type and name.
    pub fn get(&self, ty: ResourceType, name: &str) -> Option<&Resource> {
        self.shards[ty].get(name)
    }

    /// All resources of a type, in an order of no meaning.
    pub fn iter(&self, ty: ResourceType) -> impl Iterator<Item = &Resource> {
        self.shards[ty].iter()
    }

    /// How many resources of a type there are.
    pub fn len(&self, ty: ResourceType) -> usize {
        self.shards[ty].len()
    }

    /// Whether there is no resource of any type.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|(_, shards)| shards.len() == 0)
    }

    /// What changed after `revision`, newest first; a key may occur more than once, and what it is now is in this
    /// snapshot.
    pub fn changes_since(&self, revision: u64) -> Changes<'_> {
        self.ring.since(revision, self.revision)
    }

    pub(super) fn shards_mut(&mut self, ty: ResourceType) -> &mut Shards {
        &mut self.shards[ty]
    }

    /// Moves on to the next revision, which differs in `keys`.
    pub(super) fn advance(&mut self, keys: Vec<Key>) {
        self.revision += 1;
        self.ring.push(self.revision, keys);
    }
}
