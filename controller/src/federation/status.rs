//! Tells in the API how links and exports are. Every replica knows; the leader writes, and only what differs from what stands.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_crds::conditions::status::{FALSE, TRUE};
use rollcall_crds::service_export::export_conditions as words;
use rollcall_crds::{ClusterLink, ClusterLinkStatus, LinkExported, ServiceExport};
use serde_json::json;

use super::encode::Unexportable;
use super::exports::{Export, Exports};
use super::hall::Told;
use super::mcs::plans::Plans;
use super::mcs::union::Union;
use super::pauses::Pauses;
use super::report::{Report, Reports};
use crate::kubernetes::kept::Kept;
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
    plans: Plans,
    told: Told,
    /// Of which something else may stand than should, and when each may be written again.
    links: BTreeSet<Name>,
    link_pauses: Pauses<Name>,
    services: BTreeSet<ServiceKey>,
    service_pauses: Pauses<ServiceKey>,
    /// What the API server keeps of it, where its definitions are older than this controller.
    kept_links: Kept<Name, ClusterLinkStatus>,
    kept_exports: Kept<ServiceKey, Vec<Condition>>,
}

/// Between two looks at what differs.
const PAUSE: Duration = Duration::from_secs(1);
/// Writes at one look at most: more wait for the next.
const WRITES_MAX: usize = 64;
/// Of them at the same time.
const AT_ONCE: usize = 8;
/// A heartbeat that is newer by less is not worth a write.
const HEARTBEAT_MS: i64 = 30_000;

// === impl Teller ===

impl Teller {
    /// Writes while the fence is open.
    pub fn new(
        client: Client,
        fence: Fence,
        clock: Clock,
        (exports, reports, plans, told): (Exports, Reports, Plans, Told),
    ) -> Self {
        let (links, link_pauses) = (BTreeSet::new(), Pauses::default());
        let (services, service_pauses) = (BTreeSet::new(), Pauses::default());
        let (kept_links, kept_exports) = (Kept::default(), Kept::default());
        Self {
            client,
            fence,
            clock,
            exports,
            reports,
            plans,
            told,
            links,
            link_pauses,
            services,
            service_pauses,
            kept_links,
            kept_exports,
        }
    }

    /// Writes as long as the process lives.
    pub async fn run(mut self) {
        let (mut reports, mut exports, mut told) = (self.reports.follow(), self.exports.follow(), self.told.follow());
        let (mut wanted, mut refused) = (self.plans.wanted.follow(), self.plans.refused.follow());
        told.complete().await;
        loop {
            self.links.extend(reports.news().into_keys(|| self.reports.keys()));
            for news in [exports.news(), told.news(), wanted.news(), refused.news()] {
                self.services.extend(news.into_keys(|| self.exports.keys()));
            }
            self.tell_links().await;
            self.tell_exports().await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn tell_links(&mut self) {
        let (now_ms, mut writes) = (self.clock.monotonic_ms(), Vec::new());
        self.link_pauses.sweep(now_ms);
        for link in self.links.iter().filter(|link| self.link_pauses.may(link, now_ms)) {
            let report = self.reports.get(link);
            if report.is_none() {
                self.kept_links.forget(link);
            }
            let status = report.and_then(|mut report| {
                report.stands = report.stands.map(|stands| self.kept_links.read(link, stands));
                link_status(&report)
            });
            writes.push((link.clone(), status));
        }
        self.links.retain(|link| !writes.iter().any(|(same, status)| same == link && status.is_none()));
        let open = self.fence.is_open();
        let writes = writes.into_iter().filter_map(|(link, status)| Some((link, status?))).filter(|_| open);
        let this = &*self;
        let results = stream::iter(writes.take(WRITES_MAX)).map(|(link, status)| async move {
            let stands = this.write_link(&link, &status).await;
            (link, status, stands)
        });
        let results: Vec<_> = results.buffer_unordered(AT_ONCE).collect().await;
        for (link, meant, stands) in results {
            let now_ms = self.clock.monotonic_ms();
            match stands {
                Some(stands) => {
                    self.kept_links.wrote(&link, &meant, &stands);
                    self.link_pauses.written(&link, now_ms);
                }
                None => self.link_pauses.refused(&link, now_ms),
            }
        }
    }

    async fn tell_exports(&mut self) {
        let (now_ms, mut writes) = (self.clock.monotonic_ms(), Vec::new());
        self.service_pauses.sweep(now_ms);
        let mut same = Vec::new();
        for key in self.services.iter().filter(|key| self.service_pauses.may(key, now_ms)) {
            match self.conditions(key) {
                Some(conditions) => writes.push((key.clone(), conditions)),
                None => same.push(key.clone()),
            }
            if writes.len() >= WRITES_MAX {
                break;
            }
        }
        for key in same {
            if self.exports.get(&key).is_none() {
                self.kept_exports.forget(&key);
            }
            self.services.remove(&key);
        }
        if !self.fence.is_open() {
            return;
        }
        let this = &*self;
        let results = stream::iter(writes).map(|(key, conditions)| async move {
            let stands = this.write_export(&key, &conditions).await;
            (key, conditions, stands)
        });
        let results: Vec<_> = results.buffer_unordered(AT_ONCE).collect().await;
        for (key, meant, stands) in results {
            let now_ms = self.clock.monotonic_ms();
            match stands {
                Some(stands) => {
                    self.kept_exports.wrote(&key, &meant, &stands);
                    self.service_pauses.written(&key, now_ms);
                }
                None => self.service_pauses.refused(&key, now_ms),
            }
        }
    }

    /// What a ServiceExport should say, if it says something else.
    fn conditions(&self, key: &ServiceKey) -> Option<Vec<Condition>> {
        let mut export = self.exports.get(key)?;
        export.conditions = self.kept_exports.read(key, export.conditions);
        let said = self.told.get(key)?;
        let refused = self.plans.refused.get(key);
        let union = self.plans.wanted.with(|all| all.get(key).and_then(|plan| plan.union.clone()));
        let here = Here { union: union.as_deref(), refused: refused.as_deref() };
        let conditions = export_conditions(&export, said, here, self.clock.timestamp());
        differ(&export.conditions, &conditions).then_some(conditions)
    }

    /// What the API server made of it; `None`: it was not written.
    async fn write_link(&self, name: &Name, status: &ClusterLinkStatus) -> Option<ClusterLinkStatus> {
        let api: Api<ClusterLink> = Api::all(self.client.clone());
        let object = json!({
            "apiVersion": ClusterLink::api_version(&()), "kind": ClusterLink::kind(&()),
            "metadata": { "name": &**name }, "status": status,
        });
        let stands = written("ClusterLink", name, patch(&api, name, &object)).await?.status.unwrap_or_default();
        self.reports.alter(name, |report| {
            report.map(|report| Report { stands: Some(stands.clone()), ..report }) // it may be gone meanwhile
        });
        Some(stands)
    }

    async fn write_export(&self, key: &ServiceKey, conditions: &[Condition]) -> Option<Vec<Condition>> {
        let api: Api<ServiceExport> = Api::namespaced(self.client.clone(), &key.namespace);
        let object = json!({
            "apiVersion": ServiceExport::api_version(&()), "kind": ServiceExport::kind(&()),
            "metadata": { "name": &*key.name, "namespace": &*key.namespace }, "status": { "conditions": conditions },
        });
        let written = written("ServiceExport", &key.to_string(), patch(&api, &key.name, &object)).await?;
        Some(written.status.map(|status| status.conditions).unwrap_or_default())
    }
}

async fn patch<K>(api: &Api<K>, name: &str, object: &serde_json::Value) -> kube::Result<K>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.patch_status(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(object)).await
}

/// What stands when it was written.
async fn written<K>(kind: &str, name: &str, write: impl Future<Output = kube::Result<K>>) -> Option<K> {
    let why = match tokio::time::timeout(WRITE_TIMEOUT, write).await {
        Ok(Ok(stands)) => return Some(stands),
        // It is gone, and its watch will say so.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => return None,
        Ok(Err(error)) => kube_error::words(&error),
        Err(_) => format!("no answer within {WRITE_TIMEOUT:?}"),
    };
    tracing::warn!(kind, name, why, "a status cannot be written; it is tried again later");
    None
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
        cluster_uid: report.uid.as_deref().map(str::to_owned),
        namespaces: report.namespaces,
        imported: report.imported,
        held_back: report.held_back,
        version: report.version.clone(),
        bytes_per_second: report.bytes_per_second,
        exported: report.exported.clone(),
        expired: report.expired,
        problems: report.problems.iter().take(8).cloned().collect(),
    };
    let Some(stands) = &report.stands else { return Some(status) };
    let stood_ms = stands.last_heartbeat_time.as_ref().map(|time| time.0.as_millisecond());
    let newer = match (report.heard_ms, stood_ms) {
        // Also one from the future, which a leader whose clock is ahead has left.
        (Some(heard_ms), Some(stood_ms)) => (heard_ms - stood_ms).abs() >= HEARTBEAT_MS,
        (heard_ms, stood_ms) => heard_ms.is_some() && stood_ms.is_none(),
    };
    // What an earlier leader heard is not forgotten by one that has heard nothing yet.
    let last = status.last_heartbeat_time.clone().or_else(|| stands.last_heartbeat_time.clone());
    // What changes all the time is written with something else, or with the heartbeat.
    let same = ClusterLinkStatus {
        last_heartbeat_time: stands.last_heartbeat_time.clone(),
        version: stands.version.clone(),
        bytes_per_second: stands.bytes_per_second,
        exported: status.exported.clone().map(|exported| LinkExported { version: version_of(stands), ..exported }),
        ..status.clone()
    };
    let same_state = same.state == stands.state && same.since.is_some() && stands.since.is_some();
    // Each replica has its own stream: a new leader does not move the time of a state that is the same.
    let since = if same_state { stands.since.clone() } else { same.since.clone() };
    let differs = ClusterLinkStatus { since: since.clone(), ..same } != *stands;
    (differs || newer).then_some(ClusterLinkStatus { last_heartbeat_time: last, since, ..status })
}

/// What this cluster makes of an export.
#[derive(Clone, Copy, Debug, Default)]
struct Here<'a> {
    /// The service that all clusters' exports are together, where that is known.
    union: Option<&'a Union>,
    /// Why it cannot be written.
    refused: Option<&'a str>,
}

fn version_of(stands: &ClusterLinkStatus) -> String {
    stands.exported.as_ref().map(|exported| exported.version.clone()).unwrap_or_default()
}

/// Valid, Ready and Conflict, as they should be.
fn export_conditions(
    export: &Export,
    said: Result<(), Unexportable>,
    here: Here<'_>,
    now: Timestamp,
) -> Vec<Condition> {
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
        Err(Unexportable::Derived) => (
            FALSE,
            words::INVALID_SERVICE_TYPE,
            "the Service stands for what clusters export already; export the Service that it is derived from",
        ),
    };
    let ready = match said {
        Ok(()) if let Some(why) = here.refused => (FALSE, words::FAILED, why),
        Ok(()) => (TRUE, words::READY, "clusters with the right to this namespace's exports are told of it"),
        Err(_) => (FALSE, words::PENDING, "nothing is told to other clusters; see Valid"),
    };
    let conflict = here.union.filter(|_| said.is_ok()).map(conflict);
    let conflict = conflict.as_ref().map(|(status, reason, message)| (*status, &**reason, &**message));
    let all = [(words::VALID, valid), (words::READY, ready)];
    all.into_iter()
        .chain(conflict.map(|conflict| (words::CONFLICT, conflict)))
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

/// Whether clusters agree, on the export of each of them.
fn conflict(union: &Union) -> (&'static str, String, String) {
    if union.conflicts.is_empty() {
        return (FALSE, words::NO_CONFLICTS.to_owned(), "all clusters that export it agree".to_owned());
    }
    let reasons: Vec<_> = union.conflicts.keys().map(|conflict| conflict.reason()).collect();
    let messages: Vec<_> = union.conflicts.values().map(String::as_str).collect();
    (TRUE, reasons.join(","), messages.join(". "))
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
