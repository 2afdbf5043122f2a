//! Sources: the watches on the Kubernetes API. Here objects shrink to the catalog's own types and are dropped.
//!
//! - [`flags`]: what is watched, and where
//! - [`watches`]: starts the watches of each kind: one for the cluster, or one for each namespace
//! - [`services`], [`endpoint_slices`], [`pods`], [`nodes`], [`service_cidrs`], [`registrations`], [`catalog_entries`]: what
//!   each becomes

pub mod catalog_entries;
pub mod endpoint_slices;
pub mod flags;
pub mod nodes;
pub mod pods;
pub mod registrations;
pub mod service_cidrs;
pub mod services;
pub mod watches;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rollcall_catalog::intern::Interner;
use rollcall_catalog::model::Name;

/// Interned names of one source: namespaces, zones, nodes and label sets repeat many times over.
#[derive(Debug, Default)]
pub struct Names(Interner<str>);

// === impl Names ===

impl Names {
    /// The shared copy of a text.
    pub fn get(&mut self, text: &str) -> Name {
        self.0.get(text)
    }

    /// The shared copy of a text that may be absent or empty, which mean the same in the API.
    pub fn maybe(&mut self, text: Option<&str>) -> Option<Name> {
        text.filter(|text| !text.is_empty()).map(|text| self.0.get(text))
    }
}

/// When an object was created, in seconds since the epoch.
pub(crate) fn created(meta: &ObjectMeta) -> i64 {
    meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second())
}
