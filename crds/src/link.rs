//! `ClusterLink`: another cluster whose exported services this one takes in.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::ApiDuration;
use crate::link_status::ClusterLinkStatus;
use crate::namespace_selector::NamespaceSelector;
use crate::schema::{IS_LABEL, IS_SUBDOMAIN, any_integer, kubernetes_style, text_or_number, without_defaults};

/// Where the other cluster is, what of it is taken in, and what happens when it falls silent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "rollcall.dev",
    version = "v1alpha1",
    kind = "ClusterLink",
    doc = "Links this cluster to another one: what that one exports to it joins the services of the same namespace and name here. One direction; for both, each of the two has a link to the other. Its name is the id of the other cluster, so there is one link to each.",
    status = "ClusterLinkStatus",
    shortname = "link",
    category = "rollcall",
    derive = "PartialEq",
    derive = "Default",
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63")
        .message("metadata.name: give the id of the other cluster (its --cluster-id), such as east: a-z, 0-9 and -, at most 63 characters; it becomes a label"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state", description = "Connecting, Connected, Suspect or Expired"),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since", description = "How long it is in this state"),
    printcolumn(name = "Services", type_ = "integer", json_path = ".status.imported.services", description = "Services that are taken in"),
    printcolumn(name = "Endpoints", type_ = "integer", json_path = ".status.imported.endpoints", description = "Endpoints that are taken in"),
    printcolumn(name = "Heard", type_ = "date", json_path = ".status.lastHeartbeatTime", description = "How long ago the other cluster was heard, up to half a minute"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Held back", type_ = "integer", priority = "1", json_path = ".status.heldBack.endpoints", description = "Endpoints that it exports and that are not taken in"),
    printcolumn(name = "Expired", type_ = "integer", priority = "1", json_path = ".status.expired.endpoints", description = "Endpoints that were taken out because it is silent"),
    printcolumn(name = "Exported", type_ = "integer", priority = "1", json_path = ".status.exported.services", description = "Services of this cluster that it is given"),
    printcolumn(name = "Namespaces", type_ = "integer", priority = "1", json_path = ".status.namespaces", description = "Namespaces that are taken in, unless all are"),
    printcolumn(name = "Bytes/s", type_ = "integer", priority = "1", json_path = ".status.bytesPerSecond", description = "What came of it, over the last minute"),
    printcolumn(name = "Version", type_ = "string", priority = "1", json_path = ".status.version", description = "Of all that came of it; over there as exported.version of the link to here"),
    printcolumn(name = "Address", type_ = "string", priority = "1", json_path = ".status.address", description = "The stream that stands, or stood last"),
    printcolumn(name = "Problem", type_ = "string", priority = "1", json_path = ".status.problems[0]", description = "What is wrong, in plain words")
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style, transform = without_defaults)]
#[x_kube(validation = Rule::new("has(self.addresses) != has(self.clusterProfile)")
    .message("spec: give either addresses of the other cluster's stream, such as addresses: [rollcall.east.example.net:18000], or clusterProfile, which says them"))]
pub struct ClusterLinkSpec {
    /// Where the other cluster's controllers serve their stream, as host:port, 1 to 8. They are tried in turn. This or
    /// clusterProfile is required.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), inner(length(max = 262)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new(r"self.all(address, address.matches(r'^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$'))")
            .message("addresses: give host:port without a scheme, such as rollcall.east.example.net:18000 or [2001:db8::1]:18000"),
    )]
    pub addresses: Vec<String>,
    /// The ClusterProfile of the other cluster, which says by its access provider rollcall.dev where the stream is (cluster.server,
    /// as https://HOST:PORT) and what it is to be trusted by (cluster.certificate-authority-data), in place of addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_profile: Option<ClusterProfileRef>,
    /// The name for which the other cluster's certificate must be, where addresses are others. By default what the
    /// ClusterProfile says (cluster.tls-server-name), else the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(IS_SUBDOMAIN).message("serverName: give a DNS name of the other cluster's certificate, such as rollcall-controller.rollcall-system.svc"))]
    pub server_name: Option<String>,
    /// The Secret, in the namespace of the controller, that this cluster proves itself with: `token`, of a ServiceAccount
    /// of the other cluster, and `ca.crt`, the authority of its stream. With clusterProfile it need not have `ca.crt`; if it has,
    /// that is trusted, and not what the profile says.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(IS_SUBDOMAIN).message("secretName: give the name of a Secret in the namespace of the controller, with token and ca.crt"))]
    pub secret_name: String,
    /// What is taken in.
    pub import: ImportSpec,
    /// What happens when the other cluster falls silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_silent: Option<WhenSilent>,
    /// How much the other cluster may make this one keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LinkLimits>,
}

/// A cluster of an inventory (ClusterProfile of multicluster.x-k8s.io, KEP-4322).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterProfileRef {
    /// Its namespace: that of the inventory.
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new(IS_LABEL).message("clusterProfile namespace: give the name of a namespace, such as fleet"))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(IS_SUBDOMAIN).message("clusterProfile name: give the name of a ClusterProfile in that namespace, such as east"))]
    pub name: String,
}

/// What is taken in of another cluster. Nothing else of it is. With names and labels, what either says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.namespaces) || has(self.namespaceSelector)")
        .message("import: give namespaces by name, such as namespaces: [shop], or by their labels here, as namespaceSelector"),
    validation = Rule::new("!has(self.namespaces) || !has(self.namespaceSelector) || !self.namespaces.exists(name, name == '*')")
        .message("import: '*' is all namespaces already; leave it out, or namespaceSelector"),
)]
pub struct ImportSpec {
    /// Namespaces whose exported services join those of the same name here, 1 to 256, or '*' for all. Whoever exports in such a
    /// namespace over there decides where callers here go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256), inner(length(max = 63)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(name, name == '*' || name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))")
            .message("import namespaces: give names of namespaces, such as shop, or '*' for all"),
    )]
    pub namespaces: Vec<String>,
    /// The same by the labels of namespaces of this cluster: those that there are, as soon as they have the labels and for as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,
    /// Whether endpoints of the other cluster also join the local services of their names, in this product's own answers and
    /// EndpointSlices. With false they are in ServiceImports and names in clusterset.local alone, as KEP-1645 has it, and
    /// names in this cluster's own domain stay local. By default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<bool>,
}

/// What happens when another cluster falls silent. `whenSilent: {}` has every default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhenSilent {
    /// A duration such as 30s: from then on the cluster is suspect, and what it exports is kept and called last. From 10s to
    /// 24h, by default 10s: it is heard every three seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('10s') && duration(self) <= duration('24h')")
        .message("whenSilent suspectAfter: give a whole number with its unit, from 10s to 24h, such as 30s"))]
    pub suspect_after: Option<ApiDuration>,
    /// A duration such as 1h: from then on `then` holds. From 10s to 720h, by default 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('10s') && duration(self) <= duration('720h')")
        .message("whenSilent expireAfter: give a whole number with its unit, from 10s to 720h, such as 1h"))]
    pub expire_after: Option<ApiDuration>,
    /// Remove: what the cluster exported is taken out. Keep: it stays, called last, until the cluster is heard or the link is
    /// deleted. By default Remove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<ThenWhenSilent>,
}

/// What becomes of what a cluster exported that has been silent for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ThenWhenSilent {
    /// It is taken out.
    #[default]
    Remove,
    /// It stays, called last.
    Keep,
    /// A word of a newer version of the API: nothing is removed. Never written.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unsupported,
}

/// How much another cluster may make this one keep. What is beyond is left out, and the status says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkLimits {
    /// Services, from 1 to 100000, by default 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 100000").message("limits services: give 1 to 100000"))]
    pub services: Option<u32>,
    /// Endpoints, from 1 to 1000000, by default 100000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000000").message("limits endpoints: give 1 to 1000000"))]
    pub endpoints: Option<u32>,
    /// Bytes a second that are read of its stream, on average, from 1048576 (1 MiB) to 1073741824; by default as many as come. What is
    /// beyond waits over there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 1048576 && self <= 1073741824").message("limits bytesPerSecond: give 1048576 (1 MiB) to 1073741824 (1 GiB)"))]
    pub bytes_per_second: Option<u32>,
}
