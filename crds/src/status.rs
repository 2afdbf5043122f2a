//! What Rollcall says about a `ServiceRegistration`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::health::Health;
use crate::in_force::PolicyInForce;
use crate::schema::{ADDRESS_BYTES_MAX, kubernetes_style};
use crate::time_to_evict::TimeToEvict;

/// What Rollcall found. Written by the leading controller, and only when something changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style)]
pub struct ServiceRegistrationStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, Published and Ready; all three are always set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Endpoints that callers get, of all registered, such as 2/3.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub callable: String,
    /// How each endpoint is, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub endpoints: Vec<EndpointStatus>,
    /// The sections of DiscoveryPolicies that are in force for its service; others are the cluster's default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub policy: Vec<PolicyInForce>,
    /// Endpoints that are not listed, since a registration as large as this one leaves no room for them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub endpoints_omitted: u32,
    /// An endpoint that dies is out of every answer after at most this long, term by term. Absent if nothing watches the
    /// endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_evict: Option<TimeToEvict>,
}

/// How one endpoint is, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// Name of the endpoint in `spec.endpoints`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its addresses at the time of writing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), inner(length(max = ADDRESS_BYTES_MAX)))]
    pub addresses: Vec<String>,
    /// Passing, Warning, Critical, Unknown or Maintenance.
    #[serde(default)]
    pub health: Health,
    /// Whether callers get it.
    #[serde(default)]
    pub callable: bool,
    /// Since when its health is what it is. Whole seconds: finer parts are lost on the way to the API server.
    pub since: Time,
    /// Which check said what, in plain words, such as "check http: GET /healthz answered 503".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Why callers do not get it, although it may be healthy: an address that is not allowed, or that another object
    /// has claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// What each check and the heartbeat say, by name, at most 16, those that fail before others: from this a restarted controller
    /// takes up where it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub checks: Vec<CheckStatus>,
    /// What its falls of late add up to, where a policy damps them: from this, too, a restarted controller takes up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaps: Option<FlapStatus>,
}

/// What the falls of an endpoint add up to. Coarse: told anew when it has moved by a quarter, not as it decays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlapStatus {
    /// The penalty at that time.
    pub penalty: u32,
    /// When. Whole seconds.
    pub at: Time,
    /// Whether it is kept out for it.
    #[serde(default)]
    pub damped: bool,
}

/// What one check says about an endpoint: the worst of what it found at its addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// Name of the check in `spec.checks` or at the agent on the machine, or heartbeat.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Passing, Warning, Critical or Unknown.
    #[serde(default)]
    pub health: Health,
    /// Since when. Whole seconds.
    pub since: Time,
    /// What it saw last, in plain words: the beginning of it, 128 bytes at most.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub reason: String,
    /// It runs on the machine itself, by the agent there. Absent: it is no such check.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_machine: bool,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
