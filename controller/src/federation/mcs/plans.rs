//! What should stand in the API for services across clusters.

use std::sync::Arc;

use rollcall_catalog::input::ServiceFacts;
use rollcall_catalog::model::ServiceKey;

use super::union::Union;
use crate::federation::table::Table;

/// By the service. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    /// What should stand; complete once it is known which services there are.
    pub wanted: Table<ServiceKey, Plan>,
    /// Why that cannot be written.
    pub refused: Table<ServiceKey, String>,
}

/// What should stand for one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What clusters export together; `None` while that is not known, and what stands is left as it is.
    pub union: Option<Arc<Union>>,
    /// The derived Service, as it is.
    pub derived: Option<Arc<ServiceFacts>>,
    /// It has endpoints in the API.
    pub has_endpoints: bool,
}
