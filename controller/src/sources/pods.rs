//! Pods become [`PodFacts`]: their labels, and early word of their end.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use rollcall_catalog::Input;
use rollcall_catalog::input::PodFacts;
use rollcall_catalog::intern::Interner;
use rollcall_catalog::model::{Addresses, Attributes, Name, Uid};

use crate::kubernetes::Names;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::informer::Handler;
use crate::writer::{Inbox, Message};

/// Hands Pods to the catalog.
pub struct Pods {
    inbox: Inbox,
    names: Names,
    attributes: Interner<Attributes>,
}

/// The label by which a Deployment tells its ReplicaSets apart: of no use to callers, and different in every rollout.
const TEMPLATE_HASH: &str = "pod-template-hash";

// === impl Pods ===

impl Pods {
    /// A handler that speaks to `inbox`.
    pub fn new(inbox: Inbox) -> Self {
        Self { inbox, names: Names::default(), attributes: Interner::default() }
    }

    fn facts(&mut self, pod: &Pod) -> PodFacts {
        let labels = pod.metadata.labels.iter().flatten().filter(|(key, _)| *key != TEMPLATE_HASH);
        let metadata = labels.map(|(key, value)| (self.names.get(key), self.names.get(value))).collect();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let finished = matches!(phase, Some("Failed" | "Succeeded"));
        // One that has ended may have given its addresses away.
        let ips = pod.status.iter().filter(|_| !finished).flat_map(|status| {
            status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str()).chain(status.pod_ip.as_deref())
        });
        PodFacts {
            uid: pod.metadata.uid.as_deref().and_then(Uid::of),
            addresses: Addresses::first_of_each(ips.filter_map(|ip| ip.parse().ok())),
            attributes: self.attributes.share(Attributes { metadata, ..Attributes::default() }),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            finished,
        }
    }

    async fn say(&mut self, key: &ObjectKey, facts: Option<Arc<PodFacts>>) {
        let namespace = self.names.get(&key.namespace);
        self.inbox.send(Message::Say(Input::Pod(namespace, Name::clone(&key.name), facts))).await;
    }
}

impl Handler<Pod> for Pods {
    async fn apply(&mut self, pod: Pod) {
        let facts = self.facts(&pod);
        self.say(&ObjectKey::of(&pod.metadata), Some(Arc::new(facts))).await;
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.say(gone, None).await;
    }

    async fn synced(&mut self) {
        self.inbox.send(Message::Synced(Source::Pods)).await;
    }
}
