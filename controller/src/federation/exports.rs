//! Which services are exported: by ServiceExports of the same namespace and name.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_crds::ServiceExport;

use super::table::Table;
use crate::kubernetes::informer::Handler;
use crate::kubernetes::{ObjectKey, created};

/// What ServiceExports say; complete once all have been listed. Clones are the same.
pub type Exports = Table<ServiceKey, Export>;

/// A ServiceExport, as it stands in the API.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// When it was created, in seconds since the epoch.
    pub created: i64,
    /// Its generation.
    pub generation: Option<i64>,
    /// Labels and annotations that go with it.
    pub with: Arc<Tags>,
    /// What its status says.
    pub conditions: Vec<Condition>,
}

/// Labels and annotations of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tags {
    /// `exportedLabels`.
    pub labels: BTreeMap<Name, Name>,
    /// `exportedAnnotations`.
    pub annotations: BTreeMap<Name, Name>,
}

fn key(object: &ObjectKey) -> ServiceKey {
    ServiceKey { namespace: Name::clone(&object.namespace), name: Name::clone(&object.name) }
}

impl Handler<ServiceExport> for Exports {
    async fn apply(&mut self, export: ServiceExport) {
        let key = key(&ObjectKey::of(&export.metadata));
        let pairs = |pairs: BTreeMap<String, String>| {
            pairs.into_iter().map(|(key, value)| (Name::from(key), Name::from(value))).collect()
        };
        let spec = export.spec;
        let with = Tags { labels: pairs(spec.exported_labels), annotations: pairs(spec.exported_annotations) };
        let said = Export {
            created: created(&export.metadata),
            generation: export.metadata.generation,
            with: Arc::new(with),
            conditions: export.status.map(|status| status.conditions).unwrap_or_default(),
        };
        self.put(&key, Some(said));
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.put(&key(gone), None);
    }

    async fn synced(&mut self) {
        self.complete();
    }
}
