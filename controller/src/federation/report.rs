//! How each link is, for who tells it: the API, and the metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rollcall_catalog::model::Name;
use rollcall_crds::{ClusterLinkStatus, LinkCounts, LinkState};

/// Of all links. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Reports(Arc<Mutex<BTreeMap<Name, Report>>>);

/// One link.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// `metadata.generation` of the object that it follows.
    pub generation: Option<i64>,
    /// What its status says in the API.
    pub stands: Option<ClusterLinkStatus>,
    /// How it is.
    pub state: LinkState,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// When the other cluster was heard last, in milliseconds since the epoch; `None` before the first time.
    pub heard_ms: Option<i64>,
    /// The address of the stream.
    pub address: String,
    /// What is taken in.
    pub imported: LinkCounts,
    /// What is not.
    pub held_back: LinkCounts,
    /// What was taken out.
    pub expired: LinkCounts,
    /// What is wrong, in plain words.
    pub problems: Vec<String>,
}

// === impl Reports ===

impl Reports {
    /// All of them.
    pub fn all(&self) -> BTreeMap<Name, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes one, which begins empty.
    pub fn change(&self, link: &Name, change: impl FnOnce(&mut Report)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(Name::clone(link)).or_default());
    }

    /// It is gone.
    pub fn forget(&self, link: &Name) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(link);
    }
}
