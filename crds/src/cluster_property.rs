//! `ClusterProperty` of the About API (KEP-2149): who a cluster says that it is, for every tool.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::mcs::both_versions;
use crate::schema::kubernetes_style;

/// One property.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "about.k8s.io",
    version = "v1beta1",
    kind = "ClusterProperty",
    plural = "clusterproperties",
    doc = "Something about this cluster that tools for several clusters go by. Its name is the property: cluster.clusterset.k8s.io is the cluster's id, clusterset.k8s.io the set of clusters that it is in.",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Value", type_ = "string", json_path = ".spec.value", description = "What the property says"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style)]
pub struct ClusterPropertySpec {
    /// What the property says.
    #[schemars(length(min = 1, max = 128_000))]
    pub value: String,
}

/// The name of the property that is a cluster's id.
pub const CLUSTER_ID: &str = "cluster.clusterset.k8s.io";
/// The name of the property that is the set of clusters which a cluster is in.
pub const CLUSTERSET: &str = "clusterset.k8s.io";

/// The API server takes definitions of groups below `k8s.io` with this annotation alone.
const APPROVED: (&str, &str) = (
    "api-approved.kubernetes.io",
    "https://github.com/kubernetes/enhancements/tree/master/keps/sig-multicluster/2149-clusterid",
);

impl ClusterProperty {
    /// The definition with both versions that are served.
    pub fn definition() -> CustomResourceDefinition {
        let mut definition = both_versions(Self::crd());
        let annotations = definition.metadata.annotations.get_or_insert_default();
        annotations.insert(APPROVED.0.to_owned(), APPROVED.1.to_owned());
        definition
    }
}
