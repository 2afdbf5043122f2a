//! CatalogEntries: ours alone, watched so that what stands is known and what somebody else changes is put right.

use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_crds::CatalogEntry;

use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::informer::Handler;
use crate::writeback::observed::{Observations, Seen};

/// Hands CatalogEntries to the write-back.
pub struct CatalogEntries(pub Observations);

// === impl CatalogEntries ===

impl Handler<CatalogEntry> for CatalogEntries {
    async fn apply(&mut self, entry: CatalogEntry) {
        self.0.send(Seen::entry(&entry)).await;
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        let key = ServiceKey { namespace: Name::clone(&gone.namespace), name: Name::clone(&gone.name) };
        self.0.send(Seen::EntryGone(key)).await;
    }

    async fn synced(&mut self) {
        self.0.send(Seen::Synced(Source::CatalogEntries)).await;
    }
}
