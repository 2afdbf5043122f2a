//! `ServiceExport` of the Multi-Cluster Services API (KEP-1645): a Service that other clusters may call.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::mcs::both_versions;
use crate::schema::kubernetes_style;

/// What is told of the Service beside itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "multicluster.x-k8s.io",
    version = "v1beta1",
    kind = "ServiceExport",
    doc = "Exports the Service of the same namespace and name to the other clusters of the clusterset.",
    namespaced,
    status = "ServiceExportStatus",
    shortname = "svcex",
    shortname = "svcexport",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(
        name = "Valid",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Valid')].status",
        description = "Whether there is such a Service and it can be exported"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether other clusters are told of it"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Valid')].reason",
        description = "Why"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = "1",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        description = "In plain words"
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style)]
pub struct ServiceExportSpec {
    /// Labels that go with the export.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exported_labels: BTreeMap<String, String>,
    /// Annotations that go with the export.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exported_annotations: BTreeMap<String, String>,
}

/// How the export is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style)]
pub struct ServiceExportStatus {
    /// Valid, Ready and Conflict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl ServiceExport {
    /// The definition with both versions that are served.
    ///
    /// An export is written without a `spec` by most, which the public definition allows; the API server then fills in an empty one.
    pub fn definition() -> CustomResourceDefinition {
        let mut definition = Self::crd();
        let schemas = definition.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
        for schema in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
            schema.required = None;
            if let Some(spec) = schema.properties.as_mut().and_then(|properties| properties.get_mut("spec")) {
                spec.default = Some(JSON(serde_json::json!({})));
            }
        }
        both_versions(definition)
    }
}

/// Types and reasons of the conditions (mcs-api `pkg/apis/v1beta1`).
pub mod export_conditions {
    /// There is such a Service, and it can be exported.
    pub const VALID: &str = "Valid";
    /// Other clusters are told of it.
    pub const READY: &str = "Ready";
    /// There is no such Service.
    pub const NO_SERVICE: &str = "NoService";
    /// Its type cannot be exported.
    pub const INVALID_SERVICE_TYPE: &str = "InvalidServiceType";
    /// It is not told of yet.
    pub const PENDING: &str = "Pending";
    /// What stands for it in this cluster cannot be written.
    pub const FAILED: &str = "Failed";
    /// Clusters that export it do not agree.
    pub const CONFLICT: &str = "Conflict";
    /// They do.
    pub const NO_CONFLICTS: &str = "NoConflicts";
}
