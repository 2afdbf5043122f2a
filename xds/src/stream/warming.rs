//! Clusters that wait for their endpoints: after each Cluster sent, its Endpoints follow unasked, changed or not. Envoy warms
//! the cluster with them and would wait 15 s for a new version otherwise.

use std::sync::Arc;

use super::{session::endpoints_of, shared::NameSet};
use crate::{name, resource::ResourceType};

/// The Endpoints of clusters sent that have not been sent after them, by their own names. Bounded by the clusters that the client holds.
#[derive(Debug, Default)]
pub(crate) struct Warming(NameSet);

// === impl Warming ===

impl Warming {
    /// Notes a response.
    pub(crate) fn sent(&mut self, ty: ResourceType, sent: &[Arc<str>], removed: &[Arc<str>]) {
        match ty {
            ResourceType::Cluster => {
                removed.iter().for_each(|cluster| _ = self.0.remove(&name::endpoints_of(cluster)));
                sent.iter().for_each(|cluster| _ = self.0.insert(endpoints_of(cluster), ()));
                self.0.share(); // a client that never asks for endpoints has all of them here, as others like it have
            }
            ResourceType::Endpoints => {
                sent.iter().for_each(|name| _ = self.0.remove(name));
            }
            ResourceType::Listener
            | ResourceType::Route
            | ResourceType::Service
            | ResourceType::EndpointBucket
            | ResourceType::Machine
            | ResourceType::Zone
            | ResourceType::ServiceEntry
            | ResourceType::Replica
            | ResourceType::Verdicts
            | ResourceType::Doubt
            | ResourceType::Testimony
            | ResourceType::Beats
            | ResourceType::Resolved
            | ResourceType::Exporter
            | ResourceType::ExportedService
            | ResourceType::ExportedBucket => {}
        }
    }

    /// Whether the endpoints of that name are to follow.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps those alone whose cluster the client still listens to.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(wanted);
    }

    /// All of them.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.0.names().cloned().collect()
    }
}
