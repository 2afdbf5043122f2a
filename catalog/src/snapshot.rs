//! What readers hold: the whole catalog at one revision, immutable and cheap to share.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::input::NodeFacts;
use crate::model::{Name, ServiceKey};
use crate::persistent::{Map, Ring, ring};
use crate::policy::PolicyKey;
use crate::report::Report;
use crate::service::{Counts, Service};

/// A count of publications by this process. It orders snapshots of one process and means nothing elsewhere: what is
/// told to others are content versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// The catalog at a revision.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) revision: Revision,
    pub(crate) services: Map<ServiceKey, Arc<Service>>,
    /// The last publications; who is behind them starts over.
    pub(crate) ring: Ring<ServiceKey>,
    pub(crate) totals: Totals,
    policies: Arc<BTreeMap<PolicyKey, Arc<Report>>>,
    nodes: Arc<Nodes>,
}

/// Nodes of the cluster, by their names.
pub type Nodes = BTreeMap<Name, Arc<NodeFacts>>;

/// What happened since a revision.
#[derive(Debug, PartialEq, Eq)]
pub enum Changes {
    /// These services changed, were added or removed; sorted, each once.
    Services(Vec<ServiceKey>),
    /// Too long ago to tell: read the whole snapshot.
    Resync,
}

/// Changed keys that the ring remembers.
const RING_KEYS_MAX: usize = 65_536;

/// Sums over the catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Endpoints in the catalog, callable or not.
    pub endpoints: usize,
    /// Endpoints that callers are given.
    pub callable: usize,
    /// Endpoints that were kept out: refused addresses and losers of a merge.
    pub excluded: usize,
    /// Endpoints that are callable although they left, as too many went at once.
    pub held: usize,
    /// Endpoints that are kept out, as they fell too often.
    pub damped: usize,
    /// Services of which a source has been silent for longer than their policy trusts it.
    pub stale: usize,
    /// Endpoints in the catalog, by health.
    pub by_health: Counts,
}

// === impl Snapshot ===

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            revision: Revision::default(),
            services: Map::default(),
            ring: Ring::new(RING_KEYS_MAX),
            totals: Totals::default(),
            policies: Arc::default(),
            nodes: Arc::default(),
        }
    }
}

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

    /// What became of each DiscoveryPolicy. The same as long as nothing of it changed.
    pub fn policies(&self) -> &Arc<BTreeMap<PolicyKey, Arc<Report>>> {
        &self.policies
    }

    /// The nodes of the cluster. The same as long as nothing of them changed.
    pub fn nodes(&self) -> &Arc<Nodes> {
        &self.nodes
    }

    /// Takes over all nodes, where something of them changed.
    pub(crate) fn take_nodes(&mut self, nodes: Option<Arc<Nodes>>) {
        self.nodes = nodes.unwrap_or_else(|| Arc::clone(&self.nodes));
    }

    /// Takes in what became of some; `None` for those that are gone.
    pub(crate) fn report(&mut self, news: Vec<(PolicyKey, Option<Arc<Report>>)>) {
        if news.is_empty() {
            return;
        }
        let policies = Arc::make_mut(&mut self.policies);
        for (key, report) in news {
            match report {
                Some(report) => _ = policies.insert(key, report),
                None => _ = policies.remove(&key),
            }
        }
    }

    /// Which services changed between the publication of `seen` and this one.
    pub fn changes_since(&self, seen: Revision) -> Changes {
        match self.ring.since(seen.0, self.revision.0) {
            ring::Changes::None => Changes::Services(Vec::new()),
            ring::Changes::Resync => Changes::Resync,
            ring::Changes::Keys(keys) => {
                let mut keys: Vec<_> = keys.cloned().collect();
                keys.sort_unstable();
                keys.dedup();
                Changes::Services(keys)
            }
        }
    }

    /// Moves on to the next revision, which differs in `changed`.
    pub(crate) fn advance(&mut self, changed: Vec<ServiceKey>) {
        self.revision.0 += 1;
        self.ring.push(self.revision.0, changed);
    }
}

// === impl Totals ===

impl Totals {
    pub(crate) fn add(&mut self, service: &Service) {
        self.endpoints += service.endpoints.len();
        let counts = service.counts();
        self.callable += counts.callable;
        self.excluded += excluded(service);
        self.held += service.held;
        self.damped += service.damped;
        self.stale += usize::from(service.stale.is_some());
        self.by_health = self.by_health.with(counts, usize::wrapping_add);
    }

    pub(crate) fn subtract(&mut self, service: &Service) {
        self.endpoints -= service.endpoints.len();
        let counts = service.counts();
        self.callable -= counts.callable;
        self.excluded -= excluded(service);
        self.held -= service.held;
        self.damped -= service.damped;
        self.stale -= usize::from(service.stale.is_some());
        self.by_health = self.by_health.with(counts, usize::wrapping_sub);
    }
}

/// What waits for its Service is no fault to count.
fn excluded(service: &Service) -> usize {
    if service.exists() { service.excluded.len() } else { 0 }
}
