//! What those who see alike have seen: made on demand, once, for all of them.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{Lens, Viewer};
use crate::{
    cache::{Key, Snapshot},
    resource::{Resource, ResourceType, Version},
};

/// One viewer, for all streams of its kind. It goes with the last of them.
#[derive(Debug)]
pub(super) struct Eyes {
    /// Of no others in this process, not even when these are gone.
    id: u64,
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
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Relaxed);
        let new = Arc::new(Self { id, viewer: viewer.clone(), lens, seen, all: Arc::downgrade(all) });
        eyes.insert(viewer, Arc::downgrade(&new));
        new
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn lens(&self) -> &dyn Lens {
        &*self.lens
    }

    pub(super) fn why_absent(&self, ty: ResourceType, name: &str, snapshot: &Snapshot) -> String {
        self.lens.why_absent(&self.viewer, ty, name, snapshot)
    }

    /// How a resource of `snapshot` looks.
    pub(super) fn see<'a>(
        &self,
        ty: ResourceType,
        resource: &'a Resource,
        snapshot: &Snapshot,
    ) -> Option<Cow<'a, Resource>> {
        if !self.chooses(resource) || !self.lens.shows(&self.viewer, ty, &resource.name) {
            return None;
        }
        if !self.lens.alters(&self.viewer, ty) {
            return Some(Cow::Borrowed(resource));
        }
        let look = || Some(self.lens.see(&self.viewer, ty, resource));
        self.once((ty, Arc::clone(&resource.name)), resource.version, snapshot, look).map(Cow::Owned)
    }

    /// A resource that is not in `snapshot`, if one of that name can be made.
    pub(super) fn make(&self, ty: ResourceType, name: &str, snapshot: &Snapshot) -> Option<Resource> {
        let basis = self.lens.basis(ty, name, snapshot).filter(|basis| self.chooses(basis))?;
        if !self.lens.shows(&self.viewer, ty, name) {
            return None;
        }
        let make = || self.lens.make(&self.viewer, ty, name, basis);
        self.once((ty, name.into()), basis.version, snapshot, make)
    }

    fn chooses(&self, resource: &Resource) -> bool {
        let (Some(choice), Some(labels)) = (&self.viewer.choice, &resource.labels) else { return true };
        choice.fits(labels)
    }

    /// Makes it, if it was not yet made of that version. Without the lock: whoever makes it at the same time makes the same
    /// bytes, and one of the two stays.
    fn once(
        &self,
        key: Key,
        version: Version,
        snapshot: &Snapshot,
        make: impl FnOnce() -> Option<Resource>,
    ) -> Option<Resource> {
        if let Some((known, seen)) = self.lock().resources.get(&key)
            && *known == version
        {
            return seen.clone();
        }
        let looks = make();
        let mut seen = self.lock();
        seen.resources.insert(key, (version, looks.clone()));
        if seen.resources.len() > seen.sweep_at.max(SWEEP_MIN) {
            // What is made on demand goes with it, and is made again when it is asked for: names without end cannot stay.
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
