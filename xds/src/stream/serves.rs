//! What a stream that is for some types makes of a request.

use super::SessionError;
use crate::{asking::Serves, resource::ResourceType};

// === impl Serves ===

impl Serves {
    pub(super) fn has(self, ty: ResourceType) -> bool {
        let between = ResourceType::BETWEEN_REPLICAS.contains(&ty);
        let exported = ResourceType::BETWEEN_CLUSTERS.contains(&ty);
        match self {
            Self::Catalog => !between && !exported,
            Self::Only(only) => ty == only,
            Self::Replicas => between,
            Self::Clusters => exported,
        }
    }

    /// The type that a request means. On a stream for one type it need not be said, and may not be another.
    pub(super) fn type_url(self, said: &str) -> Result<&str, SessionError> {
        match self {
            Self::Catalog | Self::Replicas | Self::Clusters => Ok(said),
            Self::Only(ty) if said.is_empty() || said == ty.type_url() => Ok(ty.type_url()),
            Self::Only(ty) => {
                let said = said.chars().take(128).collect();
                Err(SessionError::OtherType { said, own: ty.type_url() })
            }
        }
    }
}
