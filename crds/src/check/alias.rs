//! Checks that take over the health of something else.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema::IS_LABEL;

/// The health of another service in this namespace, or of one of its endpoints, as Rollcall knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AliasCheck {
    /// Name of the service, which must be another than the registration's own.
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new(IS_LABEL)
        .message("check alias service: give the bare name of a service in this namespace, such as payments-db: a-z, 0-9 and -, no dots"))]
    pub service: String,
    /// Name of one of its endpoints: that of a pod, or the one in a registration. Without it, the service is as well as the
    /// best of its endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub endpoint: Option<String>,
}
