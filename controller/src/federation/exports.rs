//! Which services are exported: by ServiceExports of the same namespace and name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_crds::ServiceExport;
use tokio::sync::watch;

use crate::kubernetes::informer::Handler;
use crate::kubernetes::{ObjectKey, created};

/// What ServiceExports say. Clones are the same.
#[derive(Clone, Debug)]
pub struct Exports(Arc<Shared>);

/// A ServiceExport, as it stands in the API.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// When it was created, in seconds since the epoch.
    pub created: i64,
    /// Its generation.
    pub generation: Option<i64>,
    /// What its status says.
    pub conditions: Vec<Condition>,
}

#[derive(Debug)]
struct Shared {
    said: Mutex<BTreeMap<ServiceKey, Export>>,
    /// Whether all have been listed once, and how often anything changed.
    changed: watch::Sender<(bool, u64)>,
}

// === impl Exports ===

impl Default for Exports {
    fn default() -> Self {
        Self(Arc::new(Shared { said: Mutex::default(), changed: watch::Sender::new((false, 0)) }))
    }
}

impl Exports {
    /// All, by the service.
    pub fn all(&self) -> BTreeMap<ServiceKey, Export> {
        self.lock().clone()
    }

    /// Since when a service is exported, in seconds since the epoch.
    pub fn created(&self, key: &ServiceKey) -> Option<i64> {
        self.lock().get(key).map(|export| export.created)
    }

    /// Wakes who waits for changes: `true` once all have been listed.
    pub fn changes(&self) -> watch::Receiver<(bool, u64)> {
        self.0.changed.subscribe()
    }

    fn put(&self, key: ServiceKey, export: Option<Export>) {
        match export {
            Some(export) => _ = self.lock().insert(key, export),
            None => _ = self.lock().remove(&key),
        }
        self.0.changed.send_modify(|(_, count)| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServiceKey, Export>> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(object: &ObjectKey) -> ServiceKey {
    ServiceKey { namespace: Name::clone(&object.namespace), name: Name::clone(&object.name) }
}

impl Handler<ServiceExport> for Exports {
    async fn apply(&mut self, export: ServiceExport) {
        let key = key(&ObjectKey::of(&export.metadata));
        let said = Export {
            created: created(&export.metadata),
            generation: export.metadata.generation,
            conditions: export.status.map(|status| status.conditions).unwrap_or_default(),
        };
        self.put(key, Some(said));
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.put(key(gone), None);
    }

    async fn synced(&mut self) {
        self.0.changed.send_modify(|(synced, count)| (*synced, *count) = (true, *count + 1));
    }
}
