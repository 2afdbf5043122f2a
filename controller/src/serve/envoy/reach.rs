//! Whose an endpoint is, as callers rank it.

use rollcall_catalog::input::{OriginKind, Place};
use rollcall_catalog::model::{HealthSource, Name};
use rollcall_catalog::service::Member;

/// Whose an endpoint is, the own ones first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// This cluster's.
    #[default]
    Own,
    /// Another cluster's.
    Other,
    /// To be called only while there is nothing else: of another cluster which has fallen silent, or by the policy of the service.
    Last,
}

/// The cluster that an imported endpoint is of.
pub(super) fn cluster(member: &Member) -> Option<&Name> {
    match (&member.origin.place, member.origin.kind) {
        (Place::Cluster(cluster), OriginKind::Import) => Some(cluster),
        _ => None,
    }
}

// === impl Reach ===

impl Reach {
    pub(super) fn of(member: &Member) -> Self {
        match &member.endpoint.health_source {
            HealthSource::Imported { suspect_since_ms: Some(_), .. } => Self::Last,
            HealthSource::Imported { own: false, .. } => Self::Other,
            _ => Self::Own,
        }
    }

    /// As it is said in metadata of a locality; nothing of what is this cluster's own.
    pub(super) fn word(self) -> Option<&'static str> {
        match self {
            Self::Own => None,
            Self::Other => Some("other"),
            Self::Last => Some("last"),
        }
    }

    /// That, read again.
    pub(super) fn read(word: &str) -> Self {
        match word {
            "other" => Self::Other,
            "last" => Self::Last,
            _ => Self::Own,
        }
    }
}
