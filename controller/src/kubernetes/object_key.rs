//! The key by which an object is known among those of its kind, and its age.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rollcall_catalog::model::Name;

/// The namespace and name of an object; the namespace is empty for cluster-scoped kinds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Namespace, or empty.
    pub namespace: Name,
    /// Name.
    pub name: Name,
}

// === impl ObjectKey ===

impl ObjectKey {
    /// The key of an object that the API server returned: those always have a name.
    pub fn of(meta: &ObjectMeta) -> Self {
        let text = |text: &Option<String>| Name::from(text.as_deref().unwrap_or_default());
        Self { namespace: text(&meta.namespace), name: text(&meta.name) }
    }
}

/// When an object was created, in seconds since the epoch.
pub(crate) fn created(meta: &ObjectMeta) -> i64 {
    meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second())
}
