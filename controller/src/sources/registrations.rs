//! ServiceRegistrations: each is read once, and told to the catalog, the checks and the write-back.

use std::sync::Arc;

use rollcall_catalog::Input;
use rollcall_catalog::model::Name;
use rollcall_crds::ServiceRegistration;
use tokio::sync::mpsc;

use crate::checks::plan::Plan;
use crate::checks::runner::Order;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::informer::Handler;
use crate::registration::restored::Restored;
use crate::registration::{Reader, Reading};
use crate::writeback::observed::{Observations, Seen};
use crate::writer::{Inbox, Message};

/// Hands ServiceRegistrations to the catalog, the checks and the write-back.
pub struct Registrations {
    inbox: Inbox,
    orders: mpsc::Sender<Order>,
    observations: Observations,
    reader: Reader,
    restored: Restored,
}

// === impl Registrations ===

impl Registrations {
    /// A handler that speaks to the writer, the checks and the write-back.
    pub fn new(inbox: Inbox, orders: mpsc::Sender<Order>, observations: Observations) -> Self {
        Self { inbox, orders, observations, reader: Reader::default(), restored: Restored::default() }
    }
}

impl Handler<ServiceRegistration> for Registrations {
    async fn apply(&mut self, registration: ServiceRegistration) {
        let Reading { contribution, probes } = self.reader.read(&registration);
        let restored = self.restored.take(&registration);
        let origin = Arc::clone(&contribution.origin);

        self.inbox.send(Message::Say(Input::Contribution(contribution))).await;
        // Before the checks start: a restarted replica must not show an endpoint as Unknown that it knew as Passing.
        for (endpoint, verdict) in &restored {
            let input = Input::Verdict(Arc::clone(&origin), Name::clone(endpoint), Some(verdict.clone()));
            self.inbox.send(Message::Say(input)).await;
        }
        let plan = Plan { origin, probes, restored };
        // Fails during shutdown only, when nobody checks any more.
        let _ = self.orders.send(Order::Plan(plan)).await;
        self.observations.send(Seen::registration(&registration)).await;
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.restored.forget(gone);
        let origin = self.reader.origin(gone);
        let _ = self.orders.send(Order::Forget(Arc::clone(&origin))).await;
        self.inbox.send(Message::Say(Input::Gone(origin))).await;
        self.observations.send(Seen::RegistrationGone(gone.clone())).await;
    }

    async fn unreadable(&mut self, key: &ObjectKey) {
        self.observations.send(Seen::Unreadable(key.clone())).await;
    }

    async fn synced(&mut self) {
        self.observations.send(Seen::Synced(Source::ServiceRegistrations)).await;
        self.inbox.send(Message::Synced(Source::ServiceRegistrations)).await;
    }
}

#[cfg(test)]
mod tests;
