//! How old each watch is: when the API server last answered it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rollcall_catalog::model::Name;

use crate::time::clock::Clock;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Source {
    Services,
    EndpointSlices,
    Pods,
    Nodes,
    ServiceCidrs,
    ServiceRegistrations,
    CatalogEntries,
}

/// The life of one watch, in counters that metrics and readiness read.
#[derive(Debug)]
pub struct Freshness {
    /// What is watched.
    pub source: Source,
    /// Where; `None` in the whole cluster.
    pub namespace: Option<Name>,
    clock: Clock,
    contact_ms: AtomicU64,
    /// Complete lists, the first included.
    pub lists: AtomicU64,
    /// Objects added, changed or removed.
    pub events: AtomicU64,
    /// Requests that failed or broke off.
    pub failures: AtomicU64,
    /// Objects that could not be decoded.
    pub undecodable: AtomicU64,
    /// Objects held.
    pub objects: AtomicU64,
}

// === impl Source ===

impl Source {
    /// What the catalog can be made of.
    pub const CATALOG: [Self; 6] =
        [Self::Services, Self::EndpointSlices, Self::Pods, Self::Nodes, Self::ServiceCidrs, Self::ServiceRegistrations];

    /// Whether the catalog is made without it on an API server that does not serve it.
    pub fn is_optional(self) -> bool {
        self == Self::ServiceCidrs
    }

    /// Its resource name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::Pods => "pods",
            Self::Nodes => "nodes",
            Self::ServiceCidrs => "servicecidrs",
            Self::ServiceRegistrations => "serviceregistrations",
            Self::CatalogEntries => "catalogentries",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Freshness ===

impl Freshness {
    /// A watch that has not been answered yet.
    pub fn new(source: Source, namespace: Option<Name>, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            source,
            namespace,
            contact_ms: AtomicU64::new(clock.monotonic_ms()),
            clock,
            lists: AtomicU64::new(0),
            events: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            undecodable: AtomicU64::new(0),
            objects: AtomicU64::new(0),
        })
    }

    /// The API server has just answered: with an object, a bookmark, or the regular end of a watch.
    pub fn touch(&self) {
        self.contact_ms.store(self.clock.monotonic_ms(), Relaxed);
    }

    /// Seconds since the API server last answered.
    pub fn age_seconds(&self) -> f64 {
        let age_ms = self.clock.monotonic_ms().saturating_sub(self.contact_ms.load(Relaxed));
        age_ms as f64 / 1000.0
    }
}
