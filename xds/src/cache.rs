//! The catalog as resources: one writer, immutable snapshots that share all that did not change, and a bounded ring of
//! changes by which a stream learns what to look at.
//!
//! Publishing after one change among 50,000 resources copies a path of the tree (some hundred pointers), not the tree.

use std::sync::Arc;

use crate::resource::{Resource, ResourceType};

mod snapshot;

#[cfg(test)]
mod tests;

pub use self::snapshot::{Changes, Key, Snapshot};

/// The single writer. What it holds becomes visible with [`publish`](Self::publish); hand the result to streams through
/// a `tokio::sync::watch` (see [`crate::server::Server`]).
#[derive(Debug)]
pub struct Cache {
    /// What the next snapshot will hold.
    next: Snapshot,
    published: Arc<Snapshot>,
    /// Keys written since the last publish; a key may stand here twice until then.
    dirty: Vec<Key>,
}

// === impl Cache ===

impl Cache {
    /// How many changed keys the ring remembers by default. A stream that is further behind compares everything.
    pub const RING_KEYS_MAX: usize = 65_536;

    /// An empty cache at revision 0.
    pub fn new() -> Self {
        Self::with_ring(Self::RING_KEYS_MAX)
    }

    /// An empty cache whose ring remembers at most `keys_max` changed keys.
    pub fn with_ring(keys_max: usize) -> Self {
        let next = Snapshot::empty(keys_max);
        Self { published: Arc::new(next.clone()), next, dirty: Vec::new() }
    }

    /// Adds or replaces a resource. Says whether anything changed: one of equal version and labels is left alone.
    pub fn upsert(&mut self, ty: ResourceType, resource: Resource) -> bool {
        let name = resource.name.clone();
        let changed = self.next.insert(ty, resource);
        if changed {
            self.dirty.push((ty, name));
        }
        changed
    }

    /// Removes a resource. Says whether it was there.
    pub fn remove(&mut self, ty: ResourceType, name: &str) -> bool {
        let removed = self.next.remove(ty, name);
        removed.map(|resource| self.dirty.push((ty, resource.name))).is_some()
    }

    /// The resource as it will be published.
    pub fn get(&self, ty: ResourceType, name: &str) -> Option<&Resource> {
        self.next.get(ty, name)
    }

    /// Makes everything written since the last call visible under a new revision. Returns the last snapshot again,
    /// revision and all, when nothing changed.
    pub fn publish(&mut self) -> Arc<Snapshot> {
        if !self.dirty.is_empty() {
            self.dirty.sort_unstable();
            self.dirty.dedup();
            self.next.advance(std::mem::take(&mut self.dirty));
            self.published = Arc::new(self.next.clone());
        }
        self.published.clone()
    }

    /// The last published snapshot.
    pub fn published(&self) -> &Arc<Snapshot> {
        &self.published
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}
