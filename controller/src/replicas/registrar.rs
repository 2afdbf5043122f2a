//! Keeps this replica's Lease, and looks at those of the others.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, PostParams, Preconditions};
use rollcall_catalog::model::Name;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::card::{Card, LABEL};
use crate::kubernetes::denial_notices::DenialNotices;
use crate::kubernetes::kube_error::words;
use crate::time::clock::Clock;

/// The Leases there are, and those that nobody keeps any more.
pub struct Registrar {
    leases: Api<Lease>,
    clock: Clock,
    denials: DenialNotices,
    /// What this replica says of itself now.
    card: Box<dyn Fn() -> Card + Send + Sync>,
    /// The pod of this replica. The Lease goes with it, also when an uninstall takes the right to remove it first.
    pod: Option<OwnerReference>,
    /// Identities whose Leases were left.
    left: watch::Receiver<Vec<Name>>,
    listing: watch::Sender<Option<Arc<Listing>>>,
}

/// The Leases of replicas at one time, with their versions.
pub type Listing = Vec<(Card, String)>;

/// From one look, with a renewal, to the next.
pub const EVERY: Duration = Duration::from_secs(1);
/// The same while a right is missing: it comes with an installation that is complete.
const DENIED: Duration = Duration::from_secs(10);
/// An answer that has not come by now is not waited for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Leases of replicas at most: more are no installation.
const LEASES_MAX: u32 = 100;

// === impl Registrar ===

impl Registrar {
    /// Of the Leases in `namespace`. What is found is told by what comes back.
    pub fn new(
        client: Client,
        namespace: &str,
        card: impl Fn() -> Card + Send + Sync + 'static,
        left: watch::Receiver<Vec<Name>>,
        (clock, denials): (Clock, DenialNotices),
    ) -> (Self, watch::Receiver<Option<Arc<Listing>>>) {
        let (listing, found) = watch::channel(None);
        let leases = Api::namespaced(client, namespace);
        (Self { leases, clock, denials, card: Box::new(card), pod: this_pod(namespace), left, listing }, found)
    }

    /// Keeps it until `stop`, and removes it then, so that others need not wait.
    pub async fn run(self, stop: CancellationToken) {
        let mut said = false;
        loop {
            let pause = match self.look().await {
                Ok(()) => {
                    said = false;
                    EVERY
                }
                // Somebody wrote meanwhile, or was faster: look again.
                Err(kube::Error::Api(status)) if status.code == 409 => EVERY / 4,
                Err(error) if self.denials.told(&error) => DENIED,
                Err(error) => {
                    if !std::mem::replace(&mut said, true) {
                        warn!(error = %words(&error), "the Leases of replicas cannot be read or written; trying again");
                    }
                    EVERY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => break,
            }
        }
        if let Err(error) = within(self.leases.delete(&(self.card)().lease_name(), &DeleteParams::default())).await
            && !self.denials.told(&error)
        {
            warn!(error = %words(&error), "the Lease of this replica could not be removed; others miss it in seconds all the same");
        }
    }

    async fn look(&self) -> Result<(), kube::Error> {
        let selector = ListParams::default().labels(&format!("{}={}", LABEL.0, LABEL.1)).limit(LEASES_MAX);
        let leases = within(self.leases.list(&selector)).await?.items;
        let read = |lease: &Lease| Some((Card::read(lease)?, lease.metadata.resource_version.clone()?));
        self.listing.send_replace(Some(Arc::new(leases.iter().filter_map(read).collect())));
        let card = (self.card)();
        let name = card.lease_name();
        let own = leases.iter().find(|lease| lease.metadata.name.as_ref() == Some(&name));
        let mut lease = card.lease(own, self.clock.timestamp());
        lease.metadata.owner_references = self.pod.clone().map(|pod| vec![pod]);
        match own {
            Some(_) => within(self.leases.replace(&name, &PostParams::default(), &lease)).await?,
            None => within(self.leases.create(&PostParams::default(), &lease)).await?,
        };
        self.remove_left(&leases).await;
        Ok(())
    }

    /// Removes those that nobody keeps, as they were seen. Of several replicas that try one succeeds.
    async fn remove_left(&self, leases: &[Lease]) {
        let left = self.left.borrow().clone();
        let of_nobody = |lease: &&Lease| Card::read(lease).is_some_and(|card| left.contains(&card.identity));
        for lease in leases.iter().filter(of_nobody) {
            let Some(name) = &lease.metadata.name else { continue };
            let resource_version = lease.metadata.resource_version.clone();
            let as_seen = Preconditions { resource_version, uid: lease.metadata.uid.clone() };
            let params = DeleteParams { preconditions: Some(as_seen), ..DeleteParams::default() };
            let _ = within(self.leases.delete(name, &params)).await;
        }
    }
}

/// The pod that this process is in, by its environment; an owner has to be in the namespace of what it owns.
fn this_pod(namespace: &str) -> Option<OwnerReference> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    set("POD_NAMESPACE").filter(|own| own == namespace)?;
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: set("POD_NAME")?,
        uid: set("POD_UID")?,
        ..OwnerReference::default()
    })
}

async fn within<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    let late = |_| Err(kube::Error::Service("no answer within 3 s".into()));
    tokio::time::timeout(REQUEST_TIMEOUT, request).await.unwrap_or_else(late)
}
