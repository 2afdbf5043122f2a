//! The objects that are written, each by what is written of it.

use rollcall_catalog::digest::Version;
use rollcall_catalog::model::ServiceKey;

use super::Seen;
use crate::kubernetes::ObjectKey;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Written {
    Slice(ObjectKey),
    Entry(ServiceKey),
    Status(ObjectKey),
    Policy(ObjectKey),
}

// === impl Seen ===

impl Seen {
    /// What it is of the things that are written, and the version of what matters about it; `None`: it is gone.
    pub(super) fn written(&self) -> Option<(Written, Option<Version>)> {
        Some(match self {
            Self::Slice(key, _, slice) => (Written::Slice(key.clone()), Some(slice.stands.content)),
            Self::SliceGone(key) => (Written::Slice(key.clone()), None),
            Self::Entry(key, entry) => (Written::Entry(key.clone()), Some(entry.stands.content)),
            Self::EntryGone(key) => (Written::Entry(key.clone()), None),
            Self::Registration(key, seen) => (Written::Status(key.clone()), Some(seen.status)),
            Self::RegistrationGone(key) => (Written::Status(key.clone()), None),
            Self::Policy(key, seen) => (Written::Policy(key.clone()), Some(seen.status)),
            Self::PolicyGone(key) => (Written::Policy(key.clone()), None),
            Self::Unreadable(..) | Self::Synced(_) => return None,
        })
    }
}
