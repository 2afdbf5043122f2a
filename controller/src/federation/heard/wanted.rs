//! What of another cluster is wanted, and how much of it at most.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollcall_catalog::model::Name;

/// What is taken of what comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The id that the other cluster must have.
    pub cluster: Name,
    /// This cluster's own.
    pub me: Name,
    /// Namespaces; `None` for all.
    pub namespaces: Option<Arc<BTreeSet<Name>>>,
    /// Services at most.
    pub services_max: usize,
    /// Endpoints at most.
    pub endpoints_max: usize,
}

/// Names that are remembered because they are not wanted; further ones are not counted.
pub(super) const HELD_BACK_MAX: usize = 100_000;

// === impl Wanted ===

impl Wanted {
    /// Nothing of other namespaces than these is wanted any more. Whether something was.
    pub fn keep_to(&mut self, namespaces: Option<&BTreeSet<Name>>) -> bool {
        let Some(kept) = namespaces else { return false };
        let kept: BTreeSet<Name> = match &self.namespaces {
            None => kept.clone(),
            Some(before) if before.is_subset(kept) => return false,
            Some(before) => before.intersection(kept).cloned().collect(),
        };
        self.namespaces = Some(Arc::new(kept));
        true
    }

    /// Whether that namespace is.
    pub(super) fn has(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(namespace))
    }

    /// Resources that are remembered at most: services and buckets, of which those of before stand beside those of after while their
    /// number changes, and as many that are not wanted.
    pub(super) fn names_max(&self) -> usize {
        HELD_BACK_MAX.saturating_add(4 * self.services_max).saturating_add(self.endpoints_max / 8)
    }
}
