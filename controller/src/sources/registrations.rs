//! ServiceRegistrations: each is read once, and told to the catalog, the checks, who hears beats, and the write-back.

use std::sync::Arc;

use rollcall_crds::ServiceRegistration;
use tokio::sync::mpsc;

use crate::agents::Watched;
use crate::beats::Hearing;
use crate::checks::runner::Order;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::guarded::Bad;
use crate::kubernetes::informer::Handler;
use crate::registration::{Reader, Reading};
use crate::resolve::Resolved;
use crate::resolve::expand::Unresolved;
use crate::writeback::observed::{Observations, Seen};

/// Hands ServiceRegistrations to the catalog, the checks, who hears beats, and the write-back.
pub struct Registrations {
    orders: mpsc::Sender<Order>,
    hearing: Hearing,
    observations: Observations,
    reader: Reader,
    agents: Option<Watched>,
}

// === impl Registrations ===

impl Registrations {
    /// A handler that speaks to the checks, and by them to the writer, and to the write-back.
    pub fn new(orders: mpsc::Sender<Order>, hearing: Hearing, observations: Observations) -> Self {
        Self { orders, hearing, observations, reader: Reader::default(), agents: None }
    }

    /// Has who writes for agents told what stands.
    pub fn telling(self, agents: Watched) -> Self {
        Self { agents: Some(agents), ..self }
    }
}

impl Handler<ServiceRegistration> for Registrations {
    async fn apply(&mut self, registration: ServiceRegistration) {
        self.take_in(registration, Unresolved::default()).await;
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.reader.forget(gone);
        let origin = self.reader.origin(gone);
        self.hearing.forget(&origin);
        let _ = self.orders.send(Order::Gone(origin)).await;
        self.observations.send(Seen::RegistrationGone(gone.clone())).await;
        if let Some(agents) = &self.agents {
            agents.delete(gone).await;
        }
    }

    async fn unreadable(&mut self, bad: Box<Bad>) {
        self.observations.send(Seen::unreadable(&bad)).await;
    }

    async fn synced(&mut self) {
        self.observations.send(Seen::Synced(Source::ServiceRegistrations)).await;
        let _ = self.orders.send(Order::Synced(Source::ServiceRegistrations)).await;
    }
}

impl Resolved for Registrations {
    async fn take_in(&mut self, registration: ServiceRegistration, unresolved: Unresolved) {
        let Reading { contribution, plan, heartbeat, beating } = self.reader.read_resolved(&registration, &unresolved);
        let origin = Arc::clone(&plan.origin);
        // Before the checks know it: they say whose beats are judged here.
        self.hearing.register(&origin, heartbeat, &beating);
        // By way of the checks, which tell the catalog the verdicts together with the endpoints. Fails during shutdown
        // only, when nobody checks any more.
        let _ = self.orders.send(Order::Register(Box::new((contribution, plan)))).await;
        // After it: what beats come to is about an endpoint that the checks know.
        self.hearing.registered(&origin);
        let seen = Seen::registration_sharing(&registration, self.reader.names());
        self.observations.send(seen).await;
        // Last: an agent that is told that it stands may beat at once.
        if let Some(agents) = &self.agents {
            agents.apply(&registration).await;
        }
    }
}

#[cfg(test)]
mod tests;
