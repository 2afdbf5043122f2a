//! Tells in the API how links and exports are. Every replica knows; the leader writes, and only what differs from what stands.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_crds::conditions::status::{FALSE, TRUE};
use rollcall_crds::service_export::export_conditions as words;
use rollcall_crds::{ClusterLink, ClusterLinkStatus, ServiceExport};
use serde_json::json;

use super::encode::Unexportable;
use super::exports::{Export, Exports};
use super::hall::Hall;
use super::report::{Report, Reports};
use crate::kubernetes::kube_error;
use crate::leadership::fence::{Fence, WRITE_TIMEOUT};
use crate::time::clock::Clock;
use crate::writeback::apply::FIELD_MANAGER;

/// Writes statuses.
pub struct Teller {
    client: Client,
    fence: Fence,
    clock: Clock,
    exports: Exports,
    reports: Reports,
}

/// Between two looks at what differs.
const PAUSE: Duration = Duration::from_secs(1);
/// Writes at one look at most: more wait for the next.
const WRITES_MAX: usize = 20;
/// A heartbeat that is newer by less is not worth a write.
const HEARTBEAT_MS: i64 = 30_000;

// === impl Teller ===

impl Teller {
    /// Writes while the fence is open.
    pub fn new(client: Client, fence: Fence, clock: Clock, exports: Exports, reports: Reports) -> Self {
        Self { client, fence, clock, exports, reports }
    }

    /// Writes as long as the process lives.
    pub async fn run(self, hall: Hall) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let mut writes = 0;
            for (link, report) in self.reports.all() {
                if let Some(status) = link_status(&report).filter(|_| writes < WRITES_MAX && self.fence.is_open()) {
                    writes += 1;
                    self.write_link(&link, status).await;
                }
            }
            for (key, export) in self.exports.all() {
                let said = hall.tells(&key);
                let conditions = export_conditions(&export, said, self.clock.timestamp());
                let differs = said.is_some() && differ(&export.conditions, &conditions);
                if differs && writes < WRITES_MAX && self.fence.is_open() {
                    writes += 1;
                    self.write_export(&key, &conditions).await;
                }
            }
        }
    }

    async fn write_link(&self, name: &Name, status: ClusterLinkStatus) {
        let api: Api<ClusterLink> = Api::all(self.client.clone());
        let object = json!({
            "apiVersion": ClusterLink::api_version(&()), "kind": ClusterLink::kind(&()),
            "metadata": { "name": &**name }, "status": status,
        });
        if written("ClusterLink", name, patch(&api, name, &object)).await {
            self.reports.change(name, |report| report.stands = Some(status));
        }
    }

    async fn write_export(&self, key: &ServiceKey, conditions: &[Condition]) {
        let api: Api<ServiceExport> = Api::namespaced(self.client.clone(), &key.namespace);
        let object = json!({
            "apiVersion": ServiceExport::api_version(&()), "kind": ServiceExport::kind(&()),
            "metadata": { "name": &*key.name, "namespace": &*key.namespace }, "status": { "conditions": conditions },
        });
        written("ServiceExport", &key.to_string(), patch(&api, &key.name, &object)).await;
    }
}

async fn patch<K>(api: &Api<K>, name: &str, object: &serde_json::Value) -> kube::Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.patch_status(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(object)).await.map(|_| ())
}

/// Whether it was written. What was not is tried again with the next look.
async fn written(kind: &str, name: &str, write: impl Future<Output = kube::Result<()>>) -> bool {
    let why = match tokio::time::timeout(WRITE_TIMEOUT, write).await {
        Ok(Ok(())) => return true,
        // It is gone, and its watch will say so.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => return false,
        Ok(Err(error)) => kube_error::words(&error),
        Err(_) => format!("no answer within {WRITE_TIMEOUT:?}"),
    };
    tracing::warn!(kind, name, why, "a status cannot be written; it is tried again");
    tokio::time::sleep(PAUSE).await;
    false
}

/// What a link's status should say, if that is worth a write.
fn link_status(report: &Report) -> Option<ClusterLinkStatus> {
    let second = |ms: i64| Timestamp::from_second(ms.div_euclid(1_000)).ok().map(Time);
    let status = ClusterLinkStatus {
        observed_generation: report.generation,
        state: report.state,
        since: second(report.since_ms),
        last_heartbeat_time: report.heard_ms.and_then(second),
        address: report.address.clone(),
        imported: report.imported,
        held_back: report.held_back,
        expired: report.expired,
        problems: report.problems.iter().take(8).cloned().collect(),
    };
    let Some(stands) = &report.stands else { return Some(status) };
    let stood_ms = stands.last_heartbeat_time.as_ref().map(|time| time.0.as_millisecond());
    let newer = match (report.heard_ms, stood_ms) {
        (Some(heard_ms), Some(stood_ms)) => heard_ms - stood_ms >= HEARTBEAT_MS,
        (heard_ms, stood_ms) => heard_ms.is_some() && stood_ms.is_none(),
    };
    // What an earlier leader heard is not forgotten by one that has heard nothing yet.
    let last = status.last_heartbeat_time.clone().or_else(|| stands.last_heartbeat_time.clone());
    let same = ClusterLinkStatus { last_heartbeat_time: stands.last_heartbeat_time.clone(), ..status.clone() };
    let same_state = same.state == stands.state && same.since.is_some() && stands.since.is_some();
    // Each replica has its own stream: a new leader does not move the time of a state that is the same.
    let since = if same_state { stands.since.clone() } else { same.since.clone() };
    let differs = ClusterLinkStatus { since: since.clone(), ..same } != *stands;
    (differs || newer).then_some(ClusterLinkStatus { last_heartbeat_time: last, since, ..status })
}

/// Valid, Ready and Conflict, as they should be.
fn export_conditions(export: &Export, said: Option<Result<(), Unexportable>>, now: Timestamp) -> Vec<Condition> {
    let said = said.unwrap_or(Err(Unexportable::NoService));
    let valid = match said {
        Ok(()) => (TRUE, words::VALID, "the Service is there, and of a type that can be exported"),
        Err(Unexportable::NoService) => {
            (FALSE, words::NO_SERVICE, "there is no Service of this name; make one, or delete the ServiceExport")
        }
        Err(Unexportable::ExternalName) => (
            FALSE,
            words::INVALID_SERVICE_TYPE,
            "the Service is of type ExternalName, which has no endpoints to export; export the Service that it points to",
        ),
    };
    let ready = match said {
        Ok(()) => (TRUE, words::READY, "clusters with the right to this namespace's exports are told of it"),
        Err(_) => (FALSE, words::PENDING, "nothing is told to other clusters; see Valid"),
    };
    let all = [(words::VALID, valid), (words::READY, ready)];
    all.into_iter()
        .map(|(type_, (status, reason, message))| {
            let stands =
                export.conditions.iter().find(|condition| condition.type_ == type_ && condition.status == status);
            Condition {
                type_: type_.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message: message.to_owned(),
                observed_generation: export.generation,
                last_transition_time: stands.map_or(Time(now), |stands| stands.last_transition_time.clone()),
            }
        })
        .collect()
}

/// Whether what stands is other than what should, of the conditions that should.
fn differ(stands: &[Condition], should: &[Condition]) -> bool {
    let same = |a: &Condition, b: &Condition| {
        a.type_ == b.type_ && a.status == b.status && a.reason == b.reason && a.message == b.message
    };
    !should.iter().all(|one| stands.iter().any(|other| same(one, other)))
}

#[cfg(test)]
mod tests;
