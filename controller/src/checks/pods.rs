//! Pods that a policy has checked: which, and where, by the published catalog.
//!
//! A reader of snapshots, as every front is. What is checked of a service's pods is a plan like a registration's; its origin is the
//! Service. Verdicts go back into the catalog beside what EndpointSlices say, and into the status of the policy, from which a
//! restarted process takes up where it was.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use rollcall_catalog::input::{Origin, OriginKind};
use rollcall_catalog::model::{Addresses, Name};
use rollcall_catalog::policy::PolicyKey;
use rollcall_catalog::service::{Member, Service};
use rollcall_catalog::snapshot::{Changes, Revision};
use rollcall_catalog::{ServiceKey, Snapshot};
use rollcall_health::plan::{Planned, Restored};
use rollcall_health::{Plan, Target};
use tokio::sync::mpsc;
use tracing::warn;

use super::runner::Order;
use crate::registration::pod_checks::{Definition, PodCheckBook};
use crate::writer::Snapshots;

/// Pods of one service that are checked at most: those beyond, by name, are as Kubernetes says.
const PODS_MAX: usize = 2_000;

/// Follows the catalog, and says what is to be checked.
#[derive(Debug)]
struct Pods {
    snapshots: Snapshots,
    orders: mpsc::Sender<Order>,
    book: PodCheckBook,
    seen: Option<Revision>,
    /// The services of which pods are checked, and what was said of them last.
    plans: HashMap<ServiceKey, Said>,
}

/// What is to be checked of the pods of one service.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    definition: Option<Arc<Definition>>,
    /// Sorted by name.
    pods: Vec<(Name, Addresses, Vec<Target>)>,
}

/// Under which origin the pods of a service are checked.
pub fn origin(service: &ServiceKey) -> Origin {
    Origin::here(OriginKind::Service, Name::clone(&service.namespace), Name::clone(&service.name))
}

/// Has pods checked by `orders`, as what comes back says: it is to be told what policies say.
pub fn start(snapshots: Snapshots, orders: mpsc::Sender<Order>) -> PodCheckBook {
    let book = PodCheckBook::default();
    let pods = Pods { snapshots, orders, book: book.clone(), seen: None, plans: HashMap::new() };
    tokio::spawn(pods.run());
    book
}

// === impl Pods ===

impl Pods {
    /// Follows the catalog until nobody publishes or checks any more.
    async fn run(mut self) {
        loop {
            let snapshot = self.snapshots.borrow_and_update().clone();
            if let Some(snapshot) = snapshot
                && self.follow(&snapshot).await.is_err()
            {
                return;
            }
            if self.snapshots.changed().await.is_err() {
                return;
            }
        }
    }

    async fn follow(&mut self, snapshot: &Snapshot) -> Result<(), mpsc::error::SendError<Order>> {
        let changes =
            self.seen.replace(snapshot.revision()).map_or(Changes::Resync, |seen| snapshot.changes_since(seen));
        let keys: Vec<ServiceKey> = match changes {
            Changes::Services(keys) => keys.to_vec(),
            Changes::Resync => {
                let checked = snapshot.services().filter(|service| service.policy.pod_checks.is_some());
                let known = self.plans.keys().cloned().chain(self.book.unasked());
                known.chain(checked.map(|service| service.key.clone())).collect()
            }
        };
        for key in keys {
            let said = snapshot.get(&key).map(|service| self.said(service)).unwrap_or_default();
            self.say(key, said).await?;
        }
        Ok(())
    }

    async fn say(&mut self, key: ServiceKey, said: Said) -> Result<(), mpsc::error::SendError<Order>> {
        let restored = self.book.restored(&key);
        let before = self.plans.get(&key);
        if restored.is_empty() && before.map_or(said.pods.is_empty(), |before| *before == said) {
            return Ok(());
        }
        let is_named = |name: &Name| said.pods.binary_search_by(|(pod, ..)| pod.cmp(name)).is_ok();
        let (restored, unknown): (Vec<(Name, Restored)>, Vec<_>) =
            restored.into_iter().partition(|(pod, _)| is_named(pod));
        let planned = |(name, addresses, _): &(Name, Addresses, Vec<Target>)| Planned {
            name: Name::clone(name),
            addresses: *addresses,
            unchecked: false,
        };
        let plan = Plan {
            origin: Arc::new(origin(&key)),
            service: key.clone(),
            generation: None,
            endpoints: said.pods.iter().map(planned).collect(),
            targets: said.pods.iter().flat_map(|(.., targets)| targets.iter().cloned()).collect(),
            restored,
            heartbeat: false,
            stuck: Vec::new(),
        };
        if said.pods.is_empty() {
            self.plans.remove(&key);
        } else {
            self.plans.insert(key, said);
        }
        let unknown = unknown.into_iter().map(|(pod, _)| pod).collect();
        self.orders.send(Order::Pods(Box::new(plan), unknown)).await
    }

    /// What is to be checked of a service now.
    fn said(&self, service: &Service) -> Said {
        let source = service.policy.pod_checks.as_ref().and(service.policy.from.pod_checks.as_ref());
        let key =
            source.map(|name| PolicyKey { namespace: Name::clone(&service.key.namespace), name: Name::clone(name) });
        let Some(definition) = key.and_then(|key| self.book.of(&key)) else { return Said::default() };
        let mut members: Vec<&Member> = service.endpoints.iter().filter(|member| member.is_pod_there).collect();
        members.sort_by(|a, b| a.endpoint.name().cmp(&b.endpoint.name()));
        members.dedup_by(|a, b| a.endpoint.name() == b.endpoint.name());
        if members.len() > PODS_MAX {
            let (service, pods) = (&service.key, members.len());
            warn!(%service, pods, "of this service the first {PODS_MAX} pods by name are checked; the others are as Kubernetes says");
            members.truncate(PODS_MAX);
        }
        let pods = members.into_iter().filter_map(|member| {
            let targets = targets(&definition, member);
            let (name, addresses) = (member.endpoint.name().to_name(), member.endpoint.addresses);
            (!targets.is_empty()).then_some((name, addresses, targets))
        });
        Said { pods: pods.collect(), definition: Some(Arc::clone(&definition)) }
    }
}

/// Every check of every address of a pod. A check of a port that the pod has not is not run.
fn targets(definition: &Definition, member: &Member) -> Vec<Target> {
    let mut targets = Vec::new();
    for (check, speaks) in &definition.checks {
        let Some(port) = definition.port(check, *speaks, &member.endpoint) else { continue };
        targets.extend(member.endpoint.addresses.iter().map(|ip| Target {
            endpoint: member.endpoint.name().to_name(),
            check: Arc::clone(check),
            address: SocketAddr::new(ip, port),
        }));
    }
    targets
}
