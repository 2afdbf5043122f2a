//! `ServiceImport` of the Multi-Cluster Services API (KEP-1645): what clusters export under one name, as this cluster has it.

use k8s_openapi::api::core::v1::SessionAffinityConfig;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mcs::both_versions;
use crate::schema::kubernetes_style;

/// How the service is called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "multicluster.x-k8s.io",
    version = "v1beta1",
    kind = "ServiceImport",
    doc = "A service that clusters of the clusterset export under this namespace and name. Written by the controller only.",
    namespaced,
    status = "ServiceImportStatus",
    shortname = "svcim",
    shortname = "svcimport",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type", description = "ClusterSetIP or Headless"),
    printcolumn(
        name = "IP",
        type_ = "string",
        json_path = ".spec.ips",
        description = "Its virtual addresses in this cluster"
    ),
    printcolumn(
        name = "Clusters",
        type_ = "string",
        json_path = ".status.clusters[*].cluster",
        description = "Who exports it"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style)]
pub struct ServiceImportSpec {
    /// The ports of all exports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub ports: Vec<ImportPort>,
    /// Virtual addresses, one of each family; none of a Headless one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub ips: Vec<String>,
    /// ClusterSetIP, or Headless: its name stands for its endpoints.
    #[serde(rename = "type")]
    pub type_: ImportType,
    /// ClientIP, or None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<String>,
    /// What ClientIP means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity_config: Option<SessionAffinityConfig>,
    /// IPv4 and IPv6, in the order of `ips`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub ip_families: Vec<String>,
    /// Cluster or Local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<String>,
    /// Which endpoints are preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_distribution: Option<String>,
}

/// How an import is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImportType {
    /// By virtual addresses.
    #[default]
    ClusterSetIP,
    /// By its endpoints.
    Headless,
}

/// A port of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportPort {
    /// Its name, a DNS label; absent for a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// TCP, UDP or SCTP. By default TCP.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// What is spoken on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
    /// Its number.
    pub port: i32,
}

/// Who exports it, and how it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style)]
pub struct ServiceImportStatus {
    /// The clusters that export it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["cluster".into()]))]
    pub clusters: Vec<ClusterStatus>,
    /// Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Present or Absent: whether its endpoints are in EndpointSlices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_slice_objects: Option<String>,
}

/// One cluster that exports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Its id.
    pub cluster: String,
}

impl ServiceImport {
    /// The definition with both versions that are served.
    pub fn definition() -> CustomResourceDefinition {
        both_versions(Self::crd())
    }
}

/// Types and reasons of its conditions (mcs-api `pkg/apis/v1beta1`).
pub mod import_conditions {
    /// It can be called.
    pub const READY: &str = "Ready";
    /// It has no address yet.
    pub const PENDING: &str = "Pending";
    /// This cluster has no addresses of the family that it wants.
    pub const IP_FAMILY_NOT_SUPPORTED: &str = "IPFamilyNotSupported";
}
