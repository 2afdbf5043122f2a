//! What readers hold.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use rollcall_catalog::persistent::{Map, Ring, ring};

use crate::resource::{PerType, Resource, ResourceType};

/// A resource by type and name.
pub type Key = (ResourceType, Arc<str>);

/// What a reader at some revision has to look at.
pub type Changes<'a> = ring::Changes<'a, Key>;

/// The catalog at one revision. Immutable once published; clones and successors share what is equal.
#[derive(Clone, Debug)]
pub struct Snapshot {
    catalog: u64,
    revision: u64,
    resources: PerType<Map<Arc<str>, Resource>>,
    ring: Ring<Key>,
}

// === impl Snapshot ===

impl Snapshot {
    pub(super) fn empty(ring_keys_max: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            catalog: NEXT.fetch_add(1, Relaxed),
            revision: 0,
            resources: PerType::default(),
            ring: Ring::new(ring_keys_max),
        }
    }

    /// Counts publications of this process, from 1. It orders snapshots within a process and means nothing elsewhere;
    /// clients are told content versions.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Of whose snapshots it is one: a process may have several catalogs, each with revisions of its own.
    pub fn catalog(&self) -> u64 {
        self.catalog
    }

    /// The resource of that type and name.
    pub fn get(&self, ty: ResourceType, name: &str) -> Option<&Resource> {
        self.resources[ty].get(name)
    }

    /// All resources of a type, in an order of no meaning.
    pub fn iter(&self, ty: ResourceType) -> impl Iterator<Item = &Resource> {
        self.resources[ty].iter().map(|(_, resource)| resource)
    }

    /// How many resources of a type there are.
    pub fn len(&self, ty: ResourceType) -> usize {
        self.resources[ty].len()
    }

    /// Whether there is no resource of any type.
    pub fn is_empty(&self) -> bool {
        self.resources.iter().all(|(_, resources)| resources.is_empty())
    }

    /// What changed after `revision`, newest first; a key may occur more than once, and what it is now is in this
    /// snapshot.
    pub fn changes_since(&self, revision: u64) -> Changes<'_> {
        self.ring.since(revision, self.revision)
    }

    /// Sets a resource; says whether anything changed. Nothing is copied when nothing does.
    pub(super) fn insert(&mut self, ty: ResourceType, resource: Resource) -> bool {
        let same = |old: &Resource| old.version == resource.version && old.labels == resource.labels;
        if self.get(ty, &resource.name).is_some_and(same) {
            return false;
        }
        self.resources[ty].insert(Arc::clone(&resource.name), resource);
        true
    }

    pub(super) fn remove(&mut self, ty: ResourceType, name: &str) -> Option<Resource> {
        self.resources[ty].remove(name)
    }

    /// Moves on to the next revision, which differs in `keys`.
    pub(super) fn advance(&mut self, keys: Vec<Key>) {
        self.revision += 1;
        self.ring.push(self.revision, keys);
    }
}
