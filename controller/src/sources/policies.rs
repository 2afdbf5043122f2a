//! DiscoveryPolicies: each is read once, and told to the catalog and the write-back.

use std::sync::Arc;

use rollcall_catalog::Input;
use rollcall_catalog::model::Name;
use rollcall_catalog::policy::PolicyKey;
use rollcall_crds::DiscoveryPolicy;

use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::informer::Handler;
use crate::policy::reading::statement;
use crate::registration::pod_checks::{PodCheckBook, stated};
use crate::writeback::observed::{Observations, Seen};
use crate::writer::{Inbox, Message};

/// Hands DiscoveryPolicies to the catalog and the write-back.
pub struct Policies {
    inbox: Inbox,
    observations: Observations,
    pod_checks: PodCheckBook,
}

// === impl Policies ===

impl Policies {
    /// A handler that speaks to the writer and to the write-back.
    pub fn new(inbox: Inbox, observations: Observations, pod_checks: PodCheckBook) -> Self {
        Self { inbox, observations, pod_checks }
    }
}

impl Handler<DiscoveryPolicy> for Policies {
    async fn apply(&mut self, policy: DiscoveryPolicy) {
        let key = key(&ObjectKey::of(&policy.metadata));
        // Before the catalog shows it: whoever runs the checks finds them here.
        let failing = self.pod_checks.set(&policy);
        let failing = failing.into_iter().map(|(service, pod, verdict)| Input::PodVerdict(service, pod, Some(verdict)));
        let policy_itself = Input::Policy(key, Some(Arc::new(stated(&policy, statement(&policy)))));
        self.inbox.send(Message::Together(failing.chain([policy_itself]).collect())).await;
        self.observations.send(Seen::policy(&policy)).await;
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.pod_checks.forget(&key(gone));
        self.inbox.send(Message::Say(Input::Policy(key(gone), None))).await;
        self.observations.send(Seen::PolicyGone(gone.clone())).await;
    }

    async fn synced(&mut self) {
        self.observations.send(Seen::Synced(Source::Policies)).await;
        self.inbox.send(Message::Synced(Source::Policies)).await;
    }
}

fn key(object: &ObjectKey) -> PolicyKey {
    PolicyKey { namespace: Name::clone(&object.namespace), name: Name::clone(&object.name) }
}
