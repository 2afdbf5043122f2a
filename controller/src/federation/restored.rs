//! What an earlier process imported, from the EndpointSlices of ours that stand: it is kept until the other cluster has said what
//! is so now. So a restart while that cluster is away takes nothing from callers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollcall_catalog::input::Contribution;
use rollcall_catalog::model::{Conditions, Endpoint, Health, HealthSource, Name, ServiceKey};

use super::link;
use crate::kubernetes::ObjectKey;

/// By cluster and service. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Restored(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    clusters: BTreeMap<Name, BTreeMap<ServiceKey, Service>>,
    /// This cluster's own id.
    me: Option<Name>,
    /// Links have begun to take: what stands from now on is of this process.
    closed: bool,
}

/// What the slices of one service say.
#[derive(Clone, Debug, Default)]
struct Service {
    slices: BTreeSet<ObjectKey>,
    said: Option<Contribution>,
}

// === impl Restored ===

impl Restored {
    /// Of the cluster `me`.
    pub fn of(me: &Name) -> Self {
        let restored = Self::default();
        restored.lock().me = Some(Name::clone(me));
        restored
    }

    /// A slice of ours with endpoints of another cluster, which may have been silent when it was written, read as any other: what
    /// the catalog is to be told of its service.
    pub fn slice(
        &self,
        (cluster, suspect): (&str, bool),
        slice: &ObjectKey,
        read: &Contribution,
    ) -> Option<Contribution> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        let state = &mut *state;
        let services = state.clusters.entry(cluster.into()).or_default();
        let service = services.entry(read.service.clone()).or_default();
        if !service.slices.insert(slice.clone()) {
            return None;
        }
        let said = service.said.get_or_insert_with(|| Contribution {
            origin: link::origin(&cluster.into(), &read.service),
            // Older than anything that a link tells: these endpoints won whatever contest there was, and keep what they
            // won until their own cluster is heard, in whichever order the clusters come back.
            created: i64::MIN,
            endpoints: Arc::default(),
            unusable: Vec::new(),
            ..read.clone()
        });
        let own = state.me.as_deref() == Some(cluster);
        let more = read.endpoints.iter().map(|endpoint| Arc::new(imported(endpoint, own, suspect)));
        said.endpoints = said.endpoints.iter().cloned().chain(more).collect();
        Some(said.clone())
    }

    /// What is known of a cluster, which is told by its link from now on.
    pub fn take(&self, cluster: &Name) -> BTreeMap<ServiceKey, Contribution> {
        let mut state = self.lock();
        state.closed = true;
        let services = state.clusters.remove(cluster).unwrap_or_default();
        services.into_iter().filter_map(|(key, service)| Some((key, service.said?))).collect()
    }

    /// The clusters that nobody has taken, but for this one.
    pub fn clusters(&self) -> Vec<Name> {
        let mut state = self.lock();
        state.closed = true;
        state.clusters.keys().filter(|cluster| state.me.as_ref() != Some(*cluster)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As the stream would have told it: named by its address, and well if callers were given it. In a slice that said to call its
/// endpoints last, those that serve were.
fn imported(endpoint: &Endpoint, own: bool, suspect: bool) -> Endpoint {
    let said = endpoint.conditions;
    let conditions = match suspect && said.serving {
        true => Conditions { ready: true, serving: true, terminating: false },
        false => said,
    };
    let health = if conditions.ready { Health::Passing } else { Health::Critical };
    endpoint.with(|described| {
        (described.named, described.node, described.conditions) = (None, None, conditions);
        described.health_source = HealthSource::Imported { health, suspect_since_ms: None, own };
    })
}
