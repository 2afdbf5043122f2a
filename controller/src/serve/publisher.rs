//! Keeps the resources of each service in step with the catalog: encodes what changed, once, for all streams.

use std::collections::HashMap;
use std::sync::Arc;

use rollcall_catalog::Snapshot;
use rollcall_catalog::model::ServiceKey;
use rollcall_catalog::service::Service;
use rollcall_catalog::snapshot::{Changes, Revision};
use rollcall_xds::cache::{self, Cache};
use rollcall_xds::resource::ResourceType;
use tokio::sync::watch;

use super::machines::Machines;
use super::mesh;
use super::rollcall;
use super::served::Served;
use crate::writer::Snapshots;
use crate::writer::propagation::Propagation;

/// The publisher, before it runs.
pub struct Publisher {
    snapshots: Snapshots,
    cache: Cache,
    published: watch::Sender<Option<Arc<cache::Snapshot>>>,
    revision: Option<Revision>,
    /// What each service has in the cache.
    served: HashMap<ServiceKey, Served>,
    machines: Machines,
    /// The domain that hosts of ServiceEntries end in, if there are to be any.
    entries: Option<Box<str>>,
    propagation: Option<Arc<Propagation>>,
}

// === impl Publisher ===

impl Publisher {
    /// A publisher for a cluster of that domain, and what it will publish: nothing before the catalog has synced.
    pub fn new(
        snapshots: Snapshots,
        cluster_domain: &str,
        across: bool,
    ) -> (Self, watch::Receiver<Option<Arc<cache::Snapshot>>>) {
        let mut cache = Cache::new();
        cache.upsert(ResourceType::Zone, rollcall::zone(cluster_domain, across));
        let (published, receiver) = watch::channel(None);
        let (served, machines, revision) = (HashMap::new(), Machines::default(), None);
        let (entries, propagation) = (None, None);
        let publisher = Self { snapshots, cache, published, revision, served, machines, entries, propagation };
        (publisher, receiver)
    }

    /// Has it measured how long changes take.
    pub fn measured(self, propagation: Arc<Propagation>) -> Self {
        Self { propagation: Some(propagation), ..self }
    }

    /// Has it publish ServiceEntries for meshes, whose hosts end in that domain.
    pub fn with_entries(self, domain: Option<&str>) -> Self {
        Self { entries: domain.map(Into::into), ..self }
    }

    /// Publishes until the writer is gone.
    pub async fn run(mut self) {
        while self.snapshots.changed().await.is_ok() {
            let snapshot = self.snapshots.borrow_and_update().clone();
            if let Some(snapshot) = snapshot {
                self.publish(&snapshot);
            }
        }
    }

    pub(super) fn publish(&mut self, snapshot: &Snapshot) {
        let _span = tracing::info_span!("publish", revision = snapshot.revision().0).entered();
        let changes = self.revision.map_or(Changes::Resync, |seen| snapshot.changes_since(seen));
        self.revision = Some(snapshot.revision());
        match changes {
            Changes::Services(keys) => {
                for key in keys {
                    self.update(&key, snapshot.get(&key));
                }
            }
            Changes::Resync => {
                let gone: Vec<_> = self.served.keys().filter(|key| snapshot.get(key).is_none()).cloned().collect();
                for service in snapshot.services() {
                    self.update(&service.key, Some(service));
                }
                for key in gone {
                    self.update(&key, None);
                }
            }
        }
        self.machines.tell(snapshot.nodes(), &mut self.cache);
        let published = self.cache.publish();
        self.published.send_if_modified(|current| {
            let changed = current.as_ref().is_none_or(|current| !Arc::ptr_eq(current, &published));
            *current = Some(published);
            changed
        });
        if let Some(propagation) = &self.propagation {
            propagation.handed(snapshot.revision());
        }
    }

    /// What exists through EndpointSlices alone waits for its Service: callers are told nothing of it.
    fn update(&mut self, key: &ServiceKey, service: Option<&Arc<Service>>) {
        let service = service.filter(|service| service.exists());
        let before = self.served.remove(key);
        self.machines.take(before.as_ref().map(Served::service), service.map(|service| &**service));
        if let Some(domain) = &self.entries {
            match service.and_then(|service| mesh::service_entry(service, domain)) {
                Some(entry) => _ = self.cache.upsert(ResourceType::ServiceEntry, entry),
                None => _ = self.cache.remove(ResourceType::ServiceEntry, &key.to_string()),
            }
        }
        match (before, service) {
            (before, Some(service)) => {
                let served = Served::update(before, service, &mut self.cache);
                self.served.insert(key.clone(), served);
            }
            (Some(before), None) => before.withdraw(&mut self.cache),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests;
