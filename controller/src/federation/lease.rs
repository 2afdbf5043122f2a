//! A Lease for each cluster that is heard (KEP-1645, "Endpoint TTL"): renewed as long as it is, so that other tools see how it is. The
//! leader writes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use rollcall_catalog::model::Name;
use serde_json::{Value, json};

use super::report::{Report, Reports};
use crate::leadership::fence::{Fence, WRITE_TIMEOUT};
use crate::time::clock::Clock;
use crate::writeback::apply::FIELD_MANAGER;
use crate::writeback::slices::SOURCE_CLUSTER_LABEL;

/// Renews them.
pub struct Leases {
    /// The API.
    pub client: Client,
    /// Where they are.
    pub namespace: String,
    /// Who leads.
    pub fence: Fence,
    /// Time.
    pub clock: Clock,
    /// How links are.
    pub reports: Reports,
}

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// A Lease is renewed as often while its cluster is heard.
const RENEWED_MS: i64 = 5_000;
/// How long after this replica has begun to lead all links are known: what has none by then is left over from one that was removed
/// while nobody led.
const SETTLED_MS: u64 = 15_000;
/// What is said to be the bound: from then on it is suspect.
const DURATION_S: i64 = 10;

// === impl Leases ===

impl Leases {
    /// Renews as long as the process lives.
    pub async fn run(self) {
        let mut renewed: BTreeMap<Name, i64> = BTreeMap::new();
        let (mut leads_since_ms, mut swept) = (None, false);
        loop {
            tokio::time::sleep(PAUSE).await;
            if !self.fence.is_open() {
                renewed.clear();
                (leads_since_ms, swept) = (None, false);
                continue;
            }
            let reports = self.reports.with(BTreeMap::clone);
            let now_ms = self.clock.monotonic_ms();
            let since_ms = *leads_since_ms.get_or_insert(now_ms);
            if !swept && now_ms >= since_ms + SETTLED_MS {
                swept = self.sweep(&reports).await;
            }
            let gone: Vec<Name> = renewed.keys().filter(|link| !reports.contains_key(*link)).cloned().collect();
            for link in gone {
                if self.remove(&link).await {
                    renewed.remove(&link);
                }
            }
            for (link, report) in reports {
                let Some(heard_ms) = report.heard_ms else { continue };
                // Also after a clock was put back, by which the Lease would be from the future.
                if renewed.get(&link).is_none_or(|last_ms| (heard_ms - last_ms).abs() >= RENEWED_MS)
                    && self.fence.is_open()
                    && self.renew(&link, heard_ms).await
                {
                    renewed.insert(link, heard_ms);
                }
            }
        }
    }

    async fn renew(&self, link: &Name, heard_ms: i64) -> bool {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let Ok(heard) = Timestamp::from_millisecond(heard_ms) else { return false };
        let (name, params) = (name(link), PatchParams::apply(FIELD_MANAGER).force());
        let patch = Patch::Apply(lease(link, &self.namespace, heard));
        let write = api.patch(&name, &params, &patch);
        match tokio::time::timeout(WRITE_TIMEOUT, write).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::debug!(%link, %error, "the Lease of a cluster cannot be renewed; it is tried again");
                false
            }
            Err(_) => false,
        }
    }

    /// Removes those that have no link. Whether all of them are gone.
    async fn sweep(&self, reports: &BTreeMap<Name, Report>) -> bool {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = ListParams::default(); // others have few here
        let Ok(Ok(leases)) = tokio::time::timeout(WRITE_TIMEOUT, api.list(&params)).await else { return false };
        let mut all = true;
        for lease in leases {
            let of = lease.name_any();
            let Some(link) = of.strip_prefix(PREFIX).filter(|link| !reports.contains_key(*link)) else { continue };
            all &= self.fence.is_open() && self.remove(&link.into()).await;
        }
        all
    }

    /// Of a link that is gone.
    async fn remove(&self, link: &Name) -> bool {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let (name, params) = (name(link), DeleteParams::default());
        match tokio::time::timeout(WRITE_TIMEOUT, api.delete(&name, &params)).await {
            Ok(Ok(_)) => true,
            Ok(Err(kube::Error::Api(status))) => status.code == 404,
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

const PREFIX: &str = "rollcall-cluster-";

fn name(link: &str) -> String {
    format!("{PREFIX}{link}")
}

fn lease(link: &str, namespace: &str, heard: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": name(link), "namespace": namespace, "labels": { SOURCE_CLUSTER_LABEL: link } },
        "spec": {
            "holderIdentity": link,
            "leaseDurationSeconds": DURATION_S,
            "renewTime": format!("{heard:.6}"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_says_whose_it_is_and_when_that_was_heard() {
        let lease = lease("east", "rollcall-system", Timestamp::from_millisecond(1_500).unwrap());
        assert_eq!(lease["metadata"]["labels"][SOURCE_CLUSTER_LABEL], "east");
        assert_eq!(lease["spec"]["renewTime"], "1970-01-01T00:00:01.500000Z");
    }
}
