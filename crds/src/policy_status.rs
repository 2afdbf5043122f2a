//! What becomes of a `DiscoveryPolicy`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::pod_checks::FailingPod;
use crate::schema::kubernetes_style;

/// What became of a policy. Written by the leading controller, and only when something changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style)]
pub struct DiscoveryPolicyStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The service that it is for, or * for all of the namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub target: String,
    /// Accepted and InForce; both are always set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The services of which it decides something, and what: the first 20 by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub services: Vec<GovernedService>,
    /// All of them.
    #[serde(default)]
    pub services_total: u32,
    /// Endpoints that left and that its guard keeps callable.
    #[serde(default)]
    pub held_endpoints: u32,
    /// Endpoints that fell too often and that its damping keeps out.
    #[serde(default)]
    pub damped_endpoints: u32,
    /// Services that are older than its bound.
    #[serde(default)]
    pub stale_services: u32,
    /// Pods that its checks take out, all of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failing_pods_total: u32,
    /// The same by service and name, the first 100: from this a restarted controller takes up where it was. Further ones it gives
    /// to callers until they have failed anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub failing_pods: Vec<FailingPod>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A service of which a policy decides something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GovernedService {
    /// Its name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// The sections that are in force for it. Others are a nearer policy's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 32)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub sections: Vec<String>,
}
