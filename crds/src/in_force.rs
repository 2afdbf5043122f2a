//! What objects tell of the policies that decide about them.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A section of a policy that is in force, as the objects that it decides about tell it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyInForce {
    /// staleness, guard, damping, confirmation, warning or podChecks.
    #[schemars(length(max = 32))]
    pub section: String,
    /// The DiscoveryPolicy that it is from.
    #[schemars(length(max = 253))]
    pub from: String,
    /// What it says, in plain words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub says: String,
}
