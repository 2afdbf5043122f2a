//! Who this cluster is to others, as flags say it.

use clap::Args;

use super::Settings;
use super::about::{About, Properties};

/// Who this cluster is to others.
#[derive(Clone, Debug, Args)]
pub struct FederationArgs {
    /// Id of this cluster, by which others link to it: a DNS label, fixed for its life. With it, ClusterLinks and ServiceExports
    /// are watched, and other clusters are served what is exported. Default: neither.
    #[arg(long, env = "ROLLCALL_CLUSTER_ID", value_name = "ID", value_parser = cluster_id)]
    pub cluster_id: Option<String>,

    /// What ClusterProperties of the About API are to this controller. `read`: where there is no --cluster-id,
    /// `cluster.clusterset.k8s.io` gives it, and where there is, a property that differs is told of. `write`: besides, the leader
    /// writes those that are missing. `ignore`: nothing.
    #[arg(long, env = "ROLLCALL_CLUSTER_PROPERTY", value_name = "HOW", value_enum, default_value_t = Properties::Ignore)]
    pub cluster_property: Properties,

    /// With --cluster-property: the set of clusters that this one is in, as a DNS name: its ClusterProperty `clusterset.k8s.io`.
    #[arg(long, env = "ROLLCALL_CLUSTERSET", value_name = "NAME", value_parser = clusterset)]
    pub clusterset: Option<String>,

    /// With --cluster-id: make services across clusters of what clusters export, by the Multi-Cluster Services API:
    /// ServiceImports, a Service with a virtual address for each, and names in clusterset.local. With `false`, endpoints of
    /// other clusters only join local services (`spec.import.merge` of links).
    #[arg(long, env = "ROLLCALL_SERVICE_IMPORTS", default_value_t = true, action = clap::ArgAction::Set)]
    pub service_imports: bool,
}

// === impl FederationArgs ===

impl FederationArgs {
    /// What is known of it before anything was read.
    pub fn about(&self) -> About {
        About {
            properties: self.cluster_property,
            cluster_id: self.cluster_id.clone(),
            clusterset: self.clusterset.clone(),
        }
    }

    /// How it is to others, if it has an id.
    pub(crate) fn settings(&self, about: &About, namespace: &str) -> Option<Settings> {
        let cluster_id = about.cluster_id.as_deref()?.into();
        Some(Settings { cluster_id, namespace: namespace.to_owned(), service_imports: self.service_imports })
    }
}

fn cluster_id(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-') {
        Ok(text.to_owned())
    } else {
        Err("give a DNS label, such as east: a-z, 0-9 and -, at most 63 characters".to_owned())
    }
}

fn clusterset(text: &str) -> Result<String, String> {
    match text.len() <= 200 && text.split('.').all(|label| cluster_id(label).is_ok()) {
        true => Ok(text.to_owned()),
        false => Err("give a DNS name in lower case, such as shops.example, at most 200 characters".to_owned()),
    }
}
