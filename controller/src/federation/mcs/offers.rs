//! What each linked cluster exports now, as its link hears it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rollcall_catalog::few::Few;
use rollcall_catalog::input::Contribution;
use rollcall_catalog::model::{Endpoint, Name, ServiceKey};

use super::union::Export;
use crate::federation::table::Table;

/// Of all links. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    /// By service, what each cluster says of it.
    pub said: Table<ServiceKey, Few<Name, Arc<Offer>>>,
    /// The clusters that there are links to; complete once all ClusterLinks have been listed.
    pub clusters: Table<Name, Cluster>,
}

/// How much is known of a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// All that it exports is known.
    complete: bool,
    /// What an earlier process wrote of it, by the derived Service, until it is complete.
    restored: Arc<BTreeMap<ServiceKey, Contribution>>,
}

/// A service that a cluster exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it says of it.
    pub export: Export,
    /// Its endpoints.
    pub endpoints: Arc<[Arc<Endpoint>]>,
}

// === impl Offers ===

impl Offers {
    /// A link begins, with what an earlier process wrote of its cluster.
    pub fn begin(&self, cluster: &Name, restored: BTreeMap<ServiceKey, Contribution>) {
        self.clusters.put(cluster, Some(Cluster { complete: false, restored: Arc::new(restored) }));
    }

    /// All that a cluster exports is known: what an earlier process wrote of it counts no more.
    pub fn complete(&self, cluster: &Name) {
        self.clusters.put(cluster, Some(Cluster { complete: true, restored: Arc::default() }));
    }

    /// What an earlier process wrote of it is out of date, and nothing newer is known.
    pub fn expire(&self, cluster: &Name) {
        self.clusters.change(cluster, |known| known.restored = Arc::default());
    }

    /// Only these namespaces are imported of a cluster: what an earlier process wrote of others counts no more.
    pub fn keep_to(&self, cluster: &Name, namespaces: &BTreeSet<Name>) {
        let is_kept = |key: &ServiceKey| namespaces.contains(&key.namespace);
        self.clusters.alter(cluster, |known| {
            known.map(|known| match known.restored.keys().all(is_kept) {
                true => known,
                false => {
                    let kept = known.restored.iter().filter(|(key, _)| is_kept(key));
                    Cluster {
                        restored: Arc::new(kept.map(|(key, said)| (key.clone(), said.clone())).collect()),
                        ..known
                    }
                }
            })
        });
    }

    /// What a cluster says of a service now.
    pub fn put(&self, cluster: &Name, key: &ServiceKey, offer: Option<Offer>) {
        self.said.alter(key, |row| {
            let mut row = row.unwrap_or_default();
            match offer {
                Some(offer) => _ = row.insert(Name::clone(cluster), Arc::new(offer)),
                None => _ = row.remove(cluster),
            }
            (!row.is_empty()).then_some(row)
        });
    }

    /// A link is over.
    pub fn end(&self, cluster: &Name) {
        self.clusters.put(cluster, None);
        let its = |all: &BTreeMap<ServiceKey, Few<_, _>>| -> Vec<ServiceKey> {
            all.iter().filter(|(_, row)| row.contains_key(cluster)).map(|(key, _)| key.clone()).collect()
        };
        for key in self.said.with(its) {
            self.put(cluster, &key, None);
        }
    }

    /// What all of them say of a service.
    pub fn of(&self, key: &ServiceKey) -> Vec<Arc<Offer>> {
        self.said.with(|all| all.get(key).into_iter().flat_map(Few::values).cloned().collect())
    }

    /// What an earlier process wrote of the endpoints of a derived Service, by cluster.
    pub fn restored(&self, derived: &ServiceKey) -> Few<Name, Contribution> {
        let said =
            |(name, cluster): (&Name, &Cluster)| Some((Name::clone(name), cluster.restored.get(derived)?.clone()));
        self.clusters.with(|clusters| clusters.iter().filter_map(said).collect())
    }

    /// Whether it is known what a cluster exports: it has said all of it, or there is no link to it.
    pub fn is_known(&self, cluster: &Name) -> bool {
        let known = self.clusters.with(|clusters| clusters.get(cluster).map(|known| known.complete));
        known.unwrap_or_else(|| self.clusters.is_complete())
    }
}
