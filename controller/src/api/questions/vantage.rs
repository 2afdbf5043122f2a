//! From where each endpoint is looked at, and by which replica: the checks of this replica are asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::input::{Origin, OriginKind};
use rollcall_catalog::service::{Member, Service};
use rollcall_health::checks::Account;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::checks::pods;
use crate::checks::runner::Order;

/// The way to the checks; none in tests of what does not need it.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookout(Option<mpsc::Sender<Order>>);

/// Who says what of the endpoints of a service.
#[derive(Debug, Default)]
pub(super) struct Accounts(HashMap<Arc<Origin>, Vec<Account>>);

/// The checks answer between two probes. Whoever explains goes on without them.
const PATIENCE: Duration = Duration::from_secs(1);

// === impl Lookout ===

impl Lookout {
    /// By that way.
    pub(super) fn new(orders: mpsc::Sender<Order>) -> Self {
        Self(Some(orders))
    }

    /// Who says what of the endpoints of a service.
    pub(super) async fn look(&self, service: &Service) -> Accounts {
        let Some(orders) = &self.0 else { return Accounts::default() };
        let pods = service.policy.pod_checks.as_ref().map(|_| Arc::new(pods::origin(&service.key)));
        let registered = service.registrations.iter().map(|registered| Arc::clone(&registered.origin));
        let origins = registered.chain(pods).collect();
        timeout(PATIENCE, accounts(orders, origins)).await.unwrap_or_default()
    }
}

async fn accounts(orders: &mpsc::Sender<Order>, origins: Vec<Arc<Origin>>) -> Accounts {
    let mut all = HashMap::new();
    for origin in origins {
        let (to, answer) = oneshot::channel();
        if orders.send(Order::Look { origin: Arc::clone(&origin), to }).await.is_err() {
            break;
        }
        if let Ok(accounts) = answer.await {
            all.insert(origin, accounts);
        }
    }
    Accounts(all)
}

// === impl Accounts ===

impl Accounts {
    /// That of a member.
    pub(super) fn of(&self, member: &Member) -> Option<&Account> {
        let name = member.endpoint.name();
        let of_pods = || {
            let (namespace, pods) = (&member.origin.namespace, OriginKind::Service);
            let all = self.0.iter().find(|(origin, _)| origin.kind == pods && origin.namespace == *namespace);
            all.filter(|_| member.is_pod_there).map(|(_, accounts)| accounts)
        };
        self.0.get(&member.origin).or_else(of_pods)?.iter().find(|account| *account.endpoint == *name)
    }
}
