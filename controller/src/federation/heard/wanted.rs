//! What of another cluster is wanted, and how much of it at most.

use std::collections::BTreeSet;

use rollcall_catalog::model::Name;

/// What is taken of what comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The id that the other cluster must have.
    pub cluster: Name,
    /// This cluster's own.
    pub me: Name,
    /// Namespaces; `None` for all.
    pub namespaces: Option<BTreeSet<Name>>,
    /// Services at most.
    pub services_max: usize,
    /// Endpoints at most.
    pub endpoints_max: usize,
}

/// Names that are remembered because they are not wanted; further ones are not counted.
pub(super) const HELD_BACK_MAX: usize = 100_000;

// === impl Wanted ===

impl Wanted {
    /// Resources that are remembered at most: services and buckets, of which those of before stand beside those of after while their
    /// number changes, and as many that are not wanted.
    pub(super) fn names_max(&self) -> usize {
        HELD_BACK_MAX.saturating_add(4 * self.services_max).saturating_add(self.endpoints_max / 8)
    }
}
