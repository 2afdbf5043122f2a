//! How many others are asked before an endpoint turns Critical: as the policy of its service says.

use std::sync::Arc;

use rollcall_catalog::policy::Confirmation;
use rollcall_catalog::service::Service;
use rollcall_catalog::snapshot::{Changes, Revision};
use rollcall_catalog::{ServiceKey, Snapshot};
use rollcall_health::Checks;

use super::pods;
use crate::writer::Snapshots;

/// Hands the checks what policies say, as services change.
#[derive(Debug)]
pub struct Confirmations {
    snapshots: Snapshots,
    seen: Option<Revision>,
}

// === impl Confirmations ===

impl Confirmations {
    /// By what `snapshots` publishes.
    pub fn new(snapshots: Snapshots) -> Self {
        Self { snapshots, seen: None }
    }

    /// Tells the checks about the services that have changed since the last call. A registration that is checked before it
    /// is published asks as many as without a policy.
    pub fn tell(&mut self, checks: &mut Checks) {
        let Some(snapshot) = self.snapshots.borrow().clone() else { return };
        let changes =
            self.seen.replace(snapshot.revision()).map_or(Changes::Resync, |seen| snapshot.changes_since(seen));
        match changes {
            Changes::Services(keys) => keys.iter().filter_map(|key| snapshot.get(key)).for_each(|of| say(of, checks)),
            Changes::Resync => Snapshot::services(&snapshot).for_each(|of| say(of, checks)),
        }
    }

    /// Tells them about one service, of which something is checked from now on.
    pub fn tell_of(&self, key: &ServiceKey, checks: &mut Checks) {
        let service = self.snapshots.borrow().as_ref().and_then(|snapshot| snapshot.get(key).cloned());
        service.iter().for_each(|service| say(service, checks));
    }
}

fn say(service: &Arc<Service>, checks: &mut Checks) {
    let Confirmation { replicas, others } = &service.policy.confirmation;
    service.registrations.iter().for_each(|registered| checks.ask_others(&registered.origin, *replicas, others));
    if service.policy.pod_checks.is_some() {
        checks.ask_others(&Arc::new(pods::origin(&service.key)), *replicas, others);
    }
}
