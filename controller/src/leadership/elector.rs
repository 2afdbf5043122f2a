//! Reads and writes the Lease by the rules of the election.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::election::{Action, Election, LEASE, LOOK, RENEW, Record};
use super::fence::Term;
use crate::kubernetes::denial_notices::DenialNotices;
use crate::kubernetes::kube_error::words;
use crate::time::clock::Clock;

/// A candidate for the Lease.
pub struct Elector {
    leases: Api<Lease>,
    identity: String,
    clock: Clock,
    term: watch::Sender<Option<Term>>,
    election: Election,
    denials: DenialNotices,
}

/// The Lease of the controllers of one installation.
pub const LEASE_NAME: &str = "rollcall-controller";
/// An answer that has not come by now is not waited for: the next look is due.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

// === impl Elector ===

impl Elector {
    /// A candidate named `identity`, unique among the replicas, for the Lease in `namespace`.
    pub fn new(
        client: Client,
        namespace: &str,
        identity: String,
        clock: Clock,
        denials: DenialNotices,
    ) -> (Self, watch::Receiver<Option<Term>>) {
        let (term, receiver) = watch::channel(None);
        let leases = Api::namespaced(client, namespace);
        (Self { leases, identity, clock, term, election: Election::default(), denials }, receiver)
    }

    /// Stands for election until `stop`, and gives the lease back then, so that a standby need not wait for its end.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = match self.look().await {
                Ok(pause) => pause,
                // Another candidate was faster: that is how it is decided.
                Err(kube::Error::Api(status)) if status.code == 409 => LOOK,
                Err(error) => {
                    if !self.denials.told(&error) {
                        warn!(error = %words(&error), lease = LEASE_NAME, "lease cannot be read or written; trying again");
                    }
                    LOOK
                }
            };
            self.expire();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => break,
            }
        }
        self.give_back().await;
    }

    async fn look(&mut self) -> Result<Duration, kube::Error> {
        let lease = within(self.leases.get_opt(LEASE_NAME)).await?;
        let record = lease.as_ref().map(record);
        // Before the request, not after: the lease is ours from when the server wrote it, at the latest from now.
        let now_ms = self.clock.monotonic_ms();
        let action = self.election.decide(&self.identity, record.as_ref(), now_ms);
        let transitions = record.as_ref().map_or(0, |record| record.transitions);
        match (action, lease) {
            (Action::Wait, _) => {
                self.set(None);
                return Ok(LOOK);
            }
            (Action::Create, _) | (_, None) => {
                let lease = self.lease(ObjectMeta { name: Some(LEASE_NAME.to_owned()), ..ObjectMeta::default() }, 0);
                within(self.leases.create(&PostParams::default(), &lease)).await?;
                self.won(0, now_ms);
            }
            (Action::Renew, Some(lease)) => self.hold(lease, transitions, now_ms).await?,
            (Action::Take, Some(lease)) => self.hold(lease, transitions.saturating_add(1), now_ms).await?,
        }
        Ok(RENEW)
    }

    async fn hold(&mut self, read: Lease, transitions: i32, now_ms: u64) -> Result<(), kube::Error> {
        // The metadata that was read carries the resourceVersion: who wrote in between makes this fail.
        let acquired = read.spec.as_ref().filter(|spec| spec.lease_transitions == Some(transitions));
        let acquired = acquired.and_then(|spec| spec.acquire_time.clone());
        let mut lease = self.lease(read.metadata, transitions);
        if let (Some(spec), Some(acquired)) = (&mut lease.spec, acquired) {
            spec.acquire_time = Some(acquired);
        }
        within(self.leases.replace(LEASE_NAME, &PostParams::default(), &lease)).await?;
        self.won(transitions, now_ms);
        Ok(())
    }

    fn lease(&self, metadata: ObjectMeta, transitions: i32) -> Lease {
        let now = MicroTime(self.clock.timestamp());
        Lease {
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
                lease_transitions: Some(transitions),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        }
    }

    fn won(&self, number: i32, now_ms: u64) {
        let until_ms = now_ms + u64::try_from(LEASE.as_millis()).unwrap_or(0);
        if self.term.borrow().is_none_or(|term| term.number != number) {
            info!(identity = %self.identity, term = number, "leading: this replica writes");
        }
        self.set(Some(Term { number, until_ms }));
    }

    /// Ends a term whose lease ran out. The fence has been closed since; this only tells.
    fn expire(&self) {
        if self.term.borrow().is_some_and(|term| term.until_ms <= self.clock.monotonic_ms()) {
            warn!(identity = %self.identity, "the lease ran out before it could be renewed; no longer leading");
            self.set(None);
        }
    }

    fn set(&self, term: Option<Term>) {
        self.term.send_if_modified(|current| {
            let changed = current.map(|term| term.number) != term.map(|term| term.number);
            *current = term;
            changed
        });
    }

    async fn give_back(&self) {
        if self.term.send_replace(None).is_none() {
            return;
        }
        let Ok(Some(mut lease)) = within(self.leases.get_opt(LEASE_NAME)).await else { return };
        if record(&lease).holder != self.identity {
            return;
        }
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
        }
        match within(self.leases.replace(LEASE_NAME, &PostParams::default(), &lease)).await {
            Ok(_) => info!("gave the lease back"),
            Err(error) => {
                warn!(error = %words(&error), "the lease could not be given back; a standby takes it when it has run out");
            }
        }
    }
}

async fn within<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    let late = |_| Err(kube::Error::Service("no answer within 3 s".into()));
    tokio::time::timeout(REQUEST_TIMEOUT, request).await.unwrap_or_else(late)
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    Record {
        resource_version: lease.resource_version().unwrap_or_default(),
        holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
        transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
