//! What those who see alike have seen: made on demand, once, for all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{Lens, Viewer};
use crate::{
    cache::{Key, Snapshot},
    resource::{Resource, ResourceType, Version},
};

/// One viewer, for all streams of its kind. It goes with the last of them.
#[derive(Debug)]
pub(super) struct Eyes {
    viewer: Viewer,
    lens: Arc<dyn Lens>,
    seen: Mutex<Seen>,
    all: Weak<Mutex<HashMap<Viewer, Weak<Self>>>>,
}

/// Every viewer that is here now.
pub(super) type AllEyes = Arc<Mutex<HashMap<Viewer, Weak<Eyes>>>>;

#[derive(Debug, Default)]
struct Seen {
    /// The version that was looked at, and how it looked.
    resources: HashMap<Key, (Version, Option<Resource>)>,
    sweep_at: usize,
}

/// What is no more is forgotten when there is twice as much as after the last time, and at least this.
const SWEEP_MIN: usize = 1024;

// === impl Eyes ===

impl Eyes {
    /// Those of that viewer, shared with every other stream of its kind.
    pub(super) fn of(all: &AllEyes, lens: &Arc<dyn Lens>, viewer: Viewer) -> Arc<Self> {
        let mut eyes = all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = eyes.get(&viewer).and_then(Weak::upgrade) {
            return known;
        }
        let (lens, seen) = (Arc::clone(lens), Mutex::default());
        let new = Arc::new(Self { viewer: viewer.clone(), lens, seen, all: Arc::downgrade(all) });
        eyes.insert(viewer, Arc::downgrade(&new));
        new
    }

    /// How a resource of `snapshot` looks.
    pub(super) fn see(&self, ty: ResourceType, resource: &Resource, snapshot: &Snapshot) -> Option<Resource> {
        let key = (ty, Arc::clone(&resource.name));
        if let Some((version, seen)) = self.lock().resources.get(&key)
            && *version == resource.version
        {
            return seen.clone();
        }
        // Without the lock: whoever looks at the same time makes the same bytes, and one of the two stays.
        let looks = self.lens.see(&self.viewer, ty, resource);
        let mut seen = self.lock();
        seen.resources.insert(key, (resource.version, looks.clone()));
        if seen.resources.len() > seen.sweep_at.max(SWEEP_MIN) {
            seen.resources.retain(|(ty, name), _| snapshot.get(*ty, name).is_some());
            seen.sweep_at = 2 * seen.resources.len();
        }
        looks
    }

    #[cfg(test)]
    pub(super) fn seen_len(&self) -> usize {
        self.lock().resources.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Eyes {
    fn drop(&mut self) {
        let Some(all) = self.all.upgrade() else { return };
        let mut eyes = all.lock().unwrap_or_else(PoisonError::into_inner);
        // Another of its kind may have come meanwhile.
        if eyes.get(&self.viewer).is_some_and(|known| known.strong_count() == 0) {
            eyes.remove(&self.viewer);
        }
    }
}
