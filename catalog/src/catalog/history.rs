//! What history needs to know beside the statements: the policies, what an earlier process knew, and who is said to be gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Catalog, node_key};
use crate::input::{OriginKind, Silence};
use crate::merge::{self, Lookup, Pod};
use crate::model::{EndpointId, Health, Name};
use crate::policy::book::Affected;
use crate::policy::{self, PolicyKey};
use crate::service::Member;

use super::surroundings::Surroundings;
use crate::treatment::Penalty;

// === impl Catalog ===

impl Catalog {
    /// Takes in whether another cluster is silent: who is held may be gone by its word now.
    pub(super) fn apply_silence(&mut self, cluster: Name, silence: Silence) {
        if self.surroundings.apply_silence(cluster, silence) {
            let holding: Vec<_> = self.hold.holding().cloned().map(Arc::new).collect();
            holding.into_iter().for_each(|key| _ = self.dirty.entry(key).or_default());
        }
    }

    pub(super) fn apply_policy(&mut self, key: &PolicyKey, statement: Option<Arc<policy::Statement>>) {
        let machines = statement.as_ref().map(|said| said.maintenance.clone()).unwrap_or_default();
        let touched: BTreeSet<_> = self.surroundings.apply_maintenance(key, machines).into_iter().collect();
        for machine in touched {
            let on_it = self.by_node.of(node_key(&machine));
            let own = on_it.filter(|(service, _)| service.namespace == key.namespace);
            let own: Vec<_> = own.map(|(service, id)| (Arc::clone(service), id)).collect();
            self.touch(own);
        }
        let affected = self.hold.book.set(key, statement);
        if affected.is_empty() {
            return;
        }
        // Others may win or lose by it.
        self.reports.touch(key);
        self.reports.touch_all(self.hold.book.keys_in(&key.namespace));
        for affected in affected {
            match affected {
                Affected::Service(service) => _ = self.dirty.entry(Arc::new(service)).or_default(),
                Affected::Namespace(namespace) => {
                    let own = self.services.keys().filter(|service| service.namespace == namespace);
                    let own: Vec<_> = own.cloned().collect();
                    own.into_iter().for_each(|service| _ = self.dirty.entry(service).or_default());
                }
            }
        }
    }

    /// Takes up what an earlier process knew of the falls of a registration's endpoints.
    pub(super) fn restore_penalties(&mut self, said: &merge::Statement, penalties: Vec<(Name, Penalty)>) {
        for (name, penalty) in penalties {
            let known = said.endpoints().find(|(_, endpoint)| *endpoint.name() == *name);
            if let Some((id, _)) = known {
                self.hold.restore(&said.contribution.service, EndpointId(id), penalty);
            }
        }
    }
}

/// Whether the owner of an instance says that it is gone: its pod ends, its registration leaves it out or has it in
/// maintenance, its EndpointSlice says that it is shutting down. `now` is what is said of it, if anything.
pub(super) fn is_said_gone(surroundings: &Surroundings, member: &Member, now: Option<&Member>) -> bool {
    match (member.endpoint.pod(), member.origin.kind) {
        // Of another cluster's instances only that cluster can say so, and it does by leaving them out. While it is silent it
        // says nothing.
        (_, OriginKind::Import) => now.is_none() && !surroundings.is_silent(&member.origin),
        (_, OriginKind::ServiceRegistration) => now.is_none_or(|now| now.health == Health::Maintenance),
        (Some((name, pod)), OriginKind::EndpointSlice | OriginKind::Service) => {
            let pod = match surroundings.pod(&member.origin.namespace, name, pod) {
                Pod::Unseen => false,
                Pod::There(facts) => facts.terminating || facts.finished,
                Pod::Gone => true,
            };
            pod || now.is_some_and(|now| now.conditions.terminating)
        }
        (None, OriginKind::EndpointSlice | OriginKind::Service) => now.is_some_and(|now| now.conditions.terminating),
    }
}
