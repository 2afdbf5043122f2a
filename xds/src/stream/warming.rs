//! Clusters that wait for their endpoints: after each Cluster sent, its Endpoints follow unasked, changed or not. Envoy warms
//! the cluster with them and would wait 15 s for a new version otherwise.

use std::{collections::HashSet, sync::Arc};

use super::session::endpoints_of;
use crate::{name, resource::ResourceType};

/// The Endpoints of clusters sent that have not been sent after them, by their own names. Bounded by the clusters that the client holds.
#[derive(Debug, Default)]
pub(crate) struct Warming(HashSet<Arc<str>>);

// === impl Warming ===

impl Warming {
    /// Notes a response.
    pub(crate) fn sent(&mut self, ty: ResourceType, sent: &[Arc<str>], removed: &[Arc<str>]) {
        match ty {
            ResourceType::Cluster => {
                removed.iter().for_each(|cluster| _ = self.0.remove(&*name::endpoints_of(cluster)));
                self.0.extend(sent.iter().map(endpoints_of));
            }
            ResourceType::Endpoints => {
                sent.iter().for_each(|name| _ = self.0.remove(name));
                if self.0.is_empty() {
                    self.0 = HashSet::new(); // thousands waited at the start, and will not again
                }
            }
            ResourceType::Listener
            | ResourceType::Route
            | ResourceType::Service
            | ResourceType::EndpointBucket
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

    /// Keeps those alone whose cluster the client still listens to.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(|name| wanted(name));
    }

    /// All of them.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.0.iter().cloned().collect()
    }
}
