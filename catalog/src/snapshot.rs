//! What readers hold: the whole catalog at one revision, immutable and cheap to share.

use std::sync::Arc;

use crate::model::ServiceKey;
use crate::ring::{ChangeRing, Changes, Revision};
use crate::service::{Counts, Service};
use crate::shard_map::ShardMap;

/// The catalog at a revision.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) revision: Revision,
    pub(crate) services: ShardMap<ServiceKey, Arc<Service>>,
    pub(crate) ring: ChangeRing,
    pub(crate) totals: Totals,
}

/// Sums over the catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Endpoints in the catalog, callable or not.
    pub endpoints: usize,
    /// Endpoints that callers are given.
    pub callable: usize,
    /// Endpoints that were kept out: refused addresses and losers of a merge.
    pub excluded: usize,
    /// Endpoints in the catalog, by health.
    pub by_health: Counts,
}

// === impl Snapshot ===

impl Snapshot {
    /// The revision of this process at which it was published.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// One service.
    pub fn get(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// All services, in no particular order.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.iter().map(|(_, service)| service)
    }

    /// Number of services.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there is no service.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// Sums over the catalog.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Which services changed between the publication of `seen` and this one.
    pub fn changes_since(&self, seen: Revision) -> Changes {
        self.ring.since(seen, self.revision)
    }
}

// === impl Totals ===

impl Totals {
    pub(crate) fn add(&mut self, service: &Service) {
        self.endpoints += service.endpoints.len();
        let counts = service.counts();
        self.callable += counts.callable;
        self.excluded += service.excluded.len();
        self.by_health = self.by_health.with(counts, usize::wrapping_add);
    }

    pub(crate) fn subtract(&mut self, service: &Service) {
        self.endpoints -= service.endpoints.len();
        let counts = service.counts();
        self.callable -= counts.callable;
        self.excluded -= service.excluded.len();
        self.by_health = self.by_health.with(counts, usize::wrapping_sub);
    }
}
