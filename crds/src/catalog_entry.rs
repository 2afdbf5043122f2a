//! `CatalogEntry`: one service as Rollcall sees it, for people and tools.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::ApiDuration;
use crate::health::Health;
use crate::in_force::PolicyInForce;
use crate::schema::{ADDRESS_BYTES_MAX, kubernetes_style, open_enum};
use crate::time_to_evict::TimeToEvict;

/// What stands in a [`CatalogEntry`], at its top level.
//
// There is neither `spec` nor `status`: nobody wishes anything of it, and one server-side apply writes all. Lists are
// atomic, since it has one writer; as maps their managed fields would outweigh the content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "rollcall.dev",
    version = "v1alpha1",
    kind = "CatalogEntry",
    plural = "catalogentries",
    doc = "One service as callers get it: all its endpoints, from pods, registrations and wherever else, with their health and origin. It has the service's name and is written by Rollcall only.",
    namespaced,
    no_spec,
    shortname = "catent",
    category = "rollcall",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(
        name = "Kind",
        type_ = "string",
        json_path = ".serviceKind",
        description = "ClusterIP, Headless, ExternalName, or Registered if there is no Service of this name"
    ),
    printcolumn(
        name = "Callable",
        type_ = "string",
        json_path = ".callable",
        description = "Endpoints that callers get, of all known"
    ),
    printcolumn(
        name = "Critical",
        type_ = "integer",
        json_path = ".counts.critical",
        description = "Endpoints that a check found failing"
    ),
    printcolumn(
        name = "Since",
        type_ = "date",
        json_path = ".lastChangeTime",
        description = "How long it is as it is"
    ),
    printcolumn(
        name = "Evict",
        type_ = "string",
        priority = "1",
        json_path = ".timeToEvict",
        description = "A dead endpoint is out of every answer after at most this long"
    ),
    printcolumn(
        name = "Revision",
        type_ = "string",
        priority = "1",
        json_path = ".revision",
        description = "Version of the content"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style)]
pub struct CatalogEntryContent {
    /// What the service is in Kubernetes: ClusterIP, Headless, ExternalName, or Registered if there is no Service of
    /// this name.
    #[serde(default)]
    pub service_kind: ServiceKind,
    /// Endpoints that callers get, of all known, such as 3/4.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub callable: String,
    /// Number of endpoints by health.
    #[serde(default)]
    pub counts: Counts,
    /// Objects that endpoints come from, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub origins: Vec<OriginSummary>,
    /// Origins beyond the 100 listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub origins_omitted: u32,
    /// The endpoints, at most 100. The streams and DNS have them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub endpoints: Vec<CatalogEndpoint>,
    /// Endpoints beyond the 100 listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub endpoints_omitted: u32,
    /// Addresses that several origins claim, and who was preferred, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub conflicts: Vec<Conflict>,
    /// Conflicts beyond the 20 listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub conflicts_omitted: u32,
    /// Texts in this entry that were too long and end in an ellipsis.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub texts_cut: u32,
    /// The sections of DiscoveryPolicies that are in force; others are the cluster's default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub policy: Vec<PolicyInForce>,
    /// Endpoints that left and that a guard keeps callable.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: u32,
    /// Endpoints that fell too often and are kept out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub damped: u32,
    /// Since when a source of it has been silent for longer than its policy trusts it. Whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_since: Option<Time>,
    /// Version of the content: 16 hexadecimal digits, equal on every replica for equal content.
    #[serde(default)]
    #[schemars(regex(pattern = "^([0-9a-f]{16})?$"), length(max = 16))]
    pub revision: String,
    /// When the content last changed. The writer keeps it as long as the revision stays. Whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change_time: Option<Time>,
    /// An endpoint that dies is out of every answer after at most this long, by the settings of the service's checks.
    /// Absent if nothing watches the endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_evict: Option<ApiDuration>,
    /// The same, term by term, of the registration where it takes longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_evict_terms: Option<TimeToEvict>,
}

/// What a service is in Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = open_enum)]
pub enum ServiceKind {
    /// A Service with a cluster IP, NodePort and LoadBalancer included.
    ClusterIP,
    /// A Service whose cluster IP is None.
    Headless,
    /// An alias of a DNS name outside.
    ExternalName,
    /// No Service of this name: endpoints are registered, and callers find them by DNS and streams.
    Registered,
    /// A word of a newer version.
    #[default]
    #[serde(other)]
    Other,
}

/// Number of endpoints by health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// All known endpoints.
    pub endpoints: u32,
    /// Those that callers get.
    pub callable: u32,
    /// Those in health Passing.
    pub passing: u32,
    /// Those in health Warning.
    pub warning: u32,
    /// Those in health Critical.
    pub critical: u32,
    /// Those in health Unknown.
    pub unknown: u32,
    /// Those in health Maintenance.
    pub maintenance: u32,
}

/// An object, or all objects of a kind, that endpoints come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OriginSummary {
    /// Kind of the origin: EndpointSlice or ServiceRegistration.
    pub origin: OriginKind,
    /// Name of the object; absent for EndpointSlices, which are counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// How many endpoints come from it.
    #[serde(default)]
    pub endpoints: u32,
}

/// Kind of an object that endpoints come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = open_enum)]
pub enum OriginKind {
    /// Pods of this cluster, or whatever else an EndpointSlice holds that Rollcall did not write.
    EndpointSlice,
    /// A registration.
    ServiceRegistration,
    /// Another cluster that this one is linked to.
    Import,
    /// A word of a newer version.
    #[default]
    #[serde(other)]
    Other,
}

/// One endpoint of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogEndpoint {
    /// Its name: that of the pod, or the one in the registration.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Where it is called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = ADDRESS_BYTES_MAX)))]
    pub addresses: Vec<String>,
    /// Its ports as name:number/protocol, such as http:8080/TCP; a port without a name is 8080/TCP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 80)))]
    pub ports: Vec<String>,
    /// Ports beyond the 100 listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ports_omitted: u32,
    /// Passing, Warning, Critical, Unknown or Maintenance.
    #[serde(default)]
    pub health: Health,
    /// Whether callers get it.
    #[serde(default)]
    pub callable: bool,
    /// Zone it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub zone: Option<String>,
    /// Words of its owner to select it by, at most 16. Those of registered endpoints; pods have labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    pub tags: Vec<String>,
    /// Object that it comes from, such as ServiceRegistration/payments-vm.
    #[schemars(length(max = 320))]
    pub origin: String,
    /// Why its health is what it is, in plain words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub reason: String,
}

/// An address that two origins claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The address, with its port where that matters.
    #[schemars(length(max = 64))]
    pub address: String,
    /// Origin whose endpoint is used, such as ServiceRegistration/payments-vm.
    #[schemars(length(max = 320))]
    pub winner: String,
    /// Origin whose endpoint is left out.
    #[schemars(length(max = 320))]
    pub loser: String,
    /// The rule that decided, in plain words.
    #[schemars(length(max = 256))]
    pub rule: String,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
