//! ServiceCIDRs become blocks that no registration may claim: Services have their addresses in them.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::ServiceCIDR;
use rollcall_catalog::Input;
use rollcall_catalog::guard::Cidr;
use rollcall_catalog::model::Name;

use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::informer::Handler;
use crate::writer::{Inbox, Message};

/// Hands ServiceCIDRs to the catalog.
pub struct ServiceCidrs {
    inbox: Inbox,
}

// === impl ServiceCidrs ===

impl ServiceCidrs {
    /// A handler that speaks to `inbox`.
    pub fn new(inbox: Inbox) -> Self {
        Self { inbox }
    }
}

impl Handler<ServiceCIDR> for ServiceCidrs {
    /// Whatever its condition `Ready` says, and while it is being deleted: it stays for as long as a Service has an
    /// address of it, and new ones are taken from it again when the condition changes.
    async fn apply(&mut self, object: ServiceCIDR) {
        let name = ObjectKey::of(&object.metadata).name;
        self.inbox.send(Message::Say(Input::ServiceCidr(name, Some(blocks(&object))))).await;
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.inbox.send(Message::Say(Input::ServiceCidr(Name::clone(&gone.name), None))).await;
    }

    async fn synced(&mut self) {
        self.inbox.send(Message::Synced(Source::ServiceCidrs)).await;
    }
}

fn blocks(object: &ServiceCIDR) -> Arc<[Cidr]> {
    let cidrs = object.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten());
    let mut blocks: Vec<_> = cidrs.filter_map(|block| block.parse().ok()).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(metadata: &serde_json::Value, ready: &str) -> ServiceCIDR {
        let object = json!({
            "metadata": metadata,
            "spec": { "cidrs": ["10.96.0.0/16", "fd00:96::/112"] },
            "status": { "conditions": [{ "type": "Ready", "status": ready, "reason": "", "message": "", "lastTransitionTime": "2026-11-01T00:00:00Z" }] },
        });
        serde_json::from_value(object).expect("a ServiceCIDR")
    }

    #[tokio::test]
    async fn both_blocks_are_reserved_until_the_object_is_gone() {
        let (inbox, mut told) = Inbox::detached();
        let mut source = ServiceCidrs::new(inbox);
        let leaving = json!({ "name": "kubernetes", "deletionTimestamp": "2026-11-01T00:00:00Z" });
        for object in [object(&json!({ "name": "kubernetes" }), "True"), object(&leaving, "False")] {
            source.apply(object).await;
            match told.try_recv() {
                Ok(Message::Say(Input::ServiceCidr(_, Some(blocks)))) => assert_eq!(blocks.len(), 2),
                other => panic!("{other:?}"),
            }
        }
        source.delete(&ObjectKey { namespace: "".into(), name: "kubernetes".into() }).await;
        assert!(matches!(told.try_recv(), Ok(Message::Say(Input::ServiceCidr(_, None)))));
    }
}
