//! The ServiceImports that stand in the API.

use std::collections::BTreeMap;

use rollcall_catalog::model::{Name, Port, Protocol, ServiceKey};
use rollcall_crds::service_import::{ServiceImport, ServiceImportSpec, ServiceImportStatus};

use super::object::{CONTENT_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL};
use crate::federation::table::Table;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::informer::Handler;

/// By namespace and name; complete once all have been listed. Clones are the same.
pub type Seen = Table<ServiceKey, Import>;

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// We wrote it.
    pub ours: bool,
    /// `metadata.uid`.
    pub uid: String,
    /// What we wrote its labels and annotations from.
    pub content: Option<String>,
    /// As it stands.
    pub spec: ServiceImportSpec,
    /// As it stands.
    pub status: ServiceImportStatus,
}

/// The keys of those that we wrote.
pub fn ours(all: &BTreeMap<ServiceKey, Import>) -> impl Iterator<Item = &ServiceKey> {
    all.iter().filter(|(_, import)| import.ours).map(|(key, _)| key)
}

// === impl Import ===

impl Import {
    /// The clusters that it says it is of.
    pub fn clusters(&self) -> impl Iterator<Item = Name> {
        self.status.clusters.iter().map(|cluster| Name::from(&*cluster.cluster))
    }

    /// Its ports.
    pub fn ports(&self) -> Vec<Port> {
        let protocol = |name: &str| match name {
            "UDP" => Protocol::Udp,
            "SCTP" => Protocol::Sctp,
            _ => Protocol::Tcp,
        };
        let ports = self.spec.ports.iter().filter_map(|port| {
            Some(Port {
                name: port.name.as_deref().unwrap_or_default().into(),
                number: u16::try_from(port.port).ok()?,
                protocol: protocol(&port.protocol),
                app_protocol: port.app_protocol.as_deref().map(Name::from),
            })
        });
        ports.collect()
    }
}

impl From<ServiceImport> for Import {
    fn from(import: ServiceImport) -> Self {
        let meta = import.metadata;
        let label = meta.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY_LABEL));
        Self {
            ours: label.is_some_and(|by| by == MANAGED_BY),
            uid: meta.uid.unwrap_or_default(),
            content: meta.annotations.and_then(|mut annotations| annotations.remove(CONTENT_ANNOTATION)),
            spec: import.spec,
            status: import.status.unwrap_or_default(),
        }
    }
}

fn key(object: &ObjectKey) -> ServiceKey {
    ServiceKey { namespace: Name::clone(&object.namespace), name: Name::clone(&object.name) }
}

impl Handler<ServiceImport> for Seen {
    async fn apply(&mut self, import: ServiceImport) {
        let key = key(&ObjectKey::of(&import.metadata));
        self.put(&key, Some(Import::from(import)));
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.put(&key(gone), None);
    }

    async fn synced(&mut self) {
        self.complete();
    }
}
