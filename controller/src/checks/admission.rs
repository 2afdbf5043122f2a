//! Nothing is dialled that may not be published: each probe asks the catalog as readers see it.

use std::collections::HashMap;
use std::sync::Arc;

use rollcall_catalog::input::{Origin, OriginKind};
use rollcall_catalog::model::{Addresses, Name};
use rollcall_catalog::service::{Service, Why};
use rollcall_health::checks::{Admission, Candidate};

use crate::writer::Snapshots;

/// Answers whether an address may be dialled, by the published catalog.
#[derive(Debug)]
pub struct Admissions {
    snapshots: Snapshots,
    /// What each registration has in its service, as long as the service is the same.
    seen: HashMap<Arc<Origin>, Seen>,
}

#[derive(Debug)]
struct Seen {
    service: Arc<Service>,
    generation: Option<i64>,
    endpoints: HashMap<Name, Option<Addresses>>,
}

// === impl Admissions ===

impl Admissions {
    /// By what `snapshots` publishes.
    pub fn new(snapshots: Snapshots) -> Self {
        Self { snapshots, seen: HashMap::new() }
    }

    /// Waits until the catalog has changed; for ever when nobody publishes any more.
    pub async fn changed(&mut self) {
        if self.snapshots.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether an address may be dialled.
    pub fn admit(&mut self, candidate: Candidate<'_>) -> Admission {
        let service = self.snapshots.borrow().as_ref().and_then(|snapshot| snapshot.get(candidate.service).cloned());
        let Some(service) = service else { return Admission::Awaited };
        let seen = match self.seen.entry(Arc::clone(candidate.origin)) {
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                if !Arc::ptr_eq(&entry.get().service, &service) {
                    entry.insert(Seen::of(candidate.origin, service));
                }
                entry.into_mut()
            }
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(Seen::of(candidate.origin, service)),
        };
        seen.admit(candidate)
    }

    /// A registration is gone.
    pub fn forget(&mut self, origin: &Arc<Origin>) {
        self.seen.remove(origin);
    }
}

// === impl Seen ===

impl Seen {
    fn of(origin: &Arc<Origin>, service: Arc<Service>) -> Self {
        let members = service.endpoints.iter().filter(|member| match origin.kind {
            OriginKind::Service => member.is_pod_there,
            OriginKind::EndpointSlice | OriginKind::ServiceRegistration | OriginKind::Import => {
                member.origin == *origin
            }
        });
        let admitted = members.map(|member| (member.endpoint.name().to_name(), Some(member.endpoint.addresses)));
        let excluded = service.excluded.iter().filter(|excluded| excluded.origin == *origin);
        let judged = excluded.map(|excluded| {
            // Whoever has the address now may fail or leave: who could take its place has to be known.
            let addresses = match &excluded.why {
                // Who was taken out because it failed returns when it passes.
                Why::Claimed { .. } | Why::Deregistered(_) => {
                    excluded.endpoint.as_ref().map(|endpoint| endpoint.addresses)
                }
                _ => None,
            };
            (Name::clone(&excluded.name), addresses)
        });
        let endpoints = admitted.chain(judged).collect();
        let registered = service.registrations.iter().find(|registered| registered.origin == *origin);
        Self { generation: registered.and_then(|registered| registered.generation), endpoints, service }
    }

    fn admit(&self, candidate: Candidate<'_>) -> Admission {
        if self.generation < candidate.generation {
            return Admission::Awaited;
        }
        match self.endpoints.get(candidate.endpoint) {
            Some(Some(addresses)) if addresses.contains(candidate.ip) => Admission::Admitted,
            Some(_) => Admission::Withheld,
            None => Admission::Awaited,
        }
    }
}

#[cfg(test)]
mod tests;
