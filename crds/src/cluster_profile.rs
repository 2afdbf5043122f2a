//! `ClusterProfile` of the Cluster Inventory API (KEP-4322): a cluster, in the inventory of whoever keeps one. It is only read: its
//! definition comes with that inventory, and of its fields those are here that are looked at.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// Nothing of it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, CustomResource)]
#[kube(
    group = "multicluster.x-k8s.io",
    version = "v1alpha1",
    kind = "ClusterProfile",
    namespaced,
    status = "ClusterProfileStatus",
    schema = "disabled"
)]
pub struct ClusterProfileSpec {}

/// What the inventory knows of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterProfileStatus {
    /// How it is reached, by the name of who can.
    #[serde(default)]
    pub access_providers: Option<Vec<AccessProvider>>,
    /// The same by an older name of the field; what `access_providers` say goes before.
    #[serde(default)]
    pub credential_providers: Option<Vec<AccessProvider>>,
    /// What it says of itself, its ClusterProperties among it.
    #[serde(default)]
    pub properties: Option<Vec<ClusterProfileProperty>>,
}

/// One way to reach a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessProvider {
    /// Whose way it is.
    pub name: String,
    /// Where it leads.
    #[serde(default)]
    pub cluster: AccessCluster,
}

/// A `Cluster` as kubeconfigs have it (client-go `clientcmd/api/v1`), with dashes in its names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AccessCluster {
    /// `https://HOST:PORT`.
    #[serde(default)]
    pub server: String,
    /// The name that its certificate must be for, where that is not the host.
    #[serde(default)]
    pub tls_server_name: Option<String>,
    /// Whether its certificate is not to be looked at.
    #[serde(default)]
    pub insecure_skip_tls_verify: Option<bool>,
    /// A file with its authorities.
    #[serde(default)]
    pub certificate_authority: Option<String>,
    /// Its authorities: PEM in base64.
    #[serde(default)]
    pub certificate_authority_data: Option<String>,
    /// A proxy on the way.
    #[serde(default)]
    pub proxy_url: Option<String>,
}

/// Something about a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterProfileProperty {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: String,
}
