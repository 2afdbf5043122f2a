//! What Rollcall says about a `ClusterLink`.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{kubernetes_style, open_enum};

/// How the link is. Written by the leading controller, from its own stream: when something changed, and at least every half
/// minute while the other cluster is heard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style)]
pub struct ClusterLinkStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Connecting: never heard yet. Connected: heard within ten seconds, and all that it exports has come. Suspect: silent; kept,
    /// and called last. Expired: silent for longer than the link allows.
    #[serde(default)]
    pub state: LinkState,
    /// Since when it is in this state. Whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When the other cluster was last heard, up to half a minute ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat_time: Option<Time>,
    /// The address of the stream that stands, or stood last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 300))]
    pub address: String,
    /// What the other cluster is known by beside its id: the uid of its Service default/kubernetes. Another cluster that gives the same
    /// id is not believed; one that was built anew needs a new link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub cluster_uid: Option<String>,
    /// How many namespaces are taken in, by name or by labels here; absent where all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<u32>,
    /// What is taken in of it.
    #[serde(default)]
    pub imported: LinkCounts,
    /// Of all that came of it and is remembered, whether it is taken in or held back: equal on every replica, and to `exported.version`
    /// of the other cluster's link to this one once nothing is under way. Written with the heartbeat.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16))]
    pub version: String,
    /// Bytes of content that came of it in a second, on average of the last minute. Written with the heartbeat.
    #[serde(default)]
    pub bytes_per_second: u32,
    /// What this cluster tells the other one, by the streams that it has to the replica that writes this. Absent while it has none
    /// there: it has no link to this cluster, or its streams lead to other replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exported: Option<LinkExported>,
    /// What it exports and is not taken in: of other namespaces than the link imports, or beyond its limits.
    #[serde(default)]
    pub held_back: LinkCounts,
    /// What was taken out because the cluster is silent.
    #[serde(default)]
    pub expired: LinkCounts,
    /// What is wrong, in plain words with the remedy, at most 8; empty while all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 1024)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub problems: Vec<String>,
}

/// How a link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = open_enum)]
pub enum LinkState {
    /// Never heard yet.
    #[default]
    Connecting,
    /// Heard, and complete.
    Connected,
    /// Silent: kept, and called last.
    Suspect,
    /// Silent for longer than the link allows.
    Expired,
    /// A word of a newer version.
    #[serde(other)]
    Other,
}

/// Services and their endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkCounts {
    /// Services.
    #[serde(default)]
    pub services: u32,
    /// Their endpoints.
    #[serde(default)]
    pub endpoints: u32,
}

/// What another cluster is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkExported {
    /// Services.
    #[serde(default)]
    pub services: u32,
    /// Their endpoints.
    #[serde(default)]
    pub endpoints: u32,
    /// Of all of it: equal to `version` of the other cluster's link to this one once nothing is under way.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16))]
    pub version: String,
}

// === impl LinkState ===

impl LinkState {
    /// The word as it stands in objects.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::Connected => "Connected",
            Self::Suspect => "Suspect",
            Self::Expired => "Expired",
            Self::Other => "Other",
        }
    }
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
