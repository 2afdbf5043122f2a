//! Writes ServiceImports and derived Services. Every replica knows what should stand; the leader writes, and only what differs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, Resource};
use rollcall_catalog::clusterset;
use rollcall_catalog::input::ServiceFacts;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_crds::service_import::{ServiceImport, ServiceImportSpec, ServiceImportStatus};
use serde_json::{Value, json};

use super::object::{self, Change};
use super::plans::{Plan, Plans};
use super::seen::{Import, Seen, ours};
use super::union::Union;
use crate::federation::pauses::Pauses;
use crate::kubernetes::kept::Kept;
use crate::kubernetes::kube_error;
use crate::leadership::fence::{Fence, WRITE_TIMEOUT};
use crate::time::clock::Clock;
use crate::writeback::apply::FIELD_MANAGER;

/// Writes while the fence is open.
pub struct Writer {
    client: Client,
    fence: Fence,
    clock: Clock,
    plans: Plans,
    seen: Seen,
    /// Services of which something else may stand than should.
    due: BTreeSet<ServiceKey>,
    /// When one may be written again, and in a namespace that was not there.
    pauses: Pauses<ServiceKey>,
    absent: HashMap<Name, u64>,
    /// What the API server keeps of imports, where its definition is older than this controller.
    kept: Kept<ServiceKey, ServiceImportSpec>,
    kept_statuses: Kept<ServiceKey, ServiceImportStatus>,
    /// What derived Services were written as over what they are, which did not make them what they should be: no more comes of it
    /// if that is done again.
    in_vain: HashMap<ServiceKey, (Value, Option<Arc<ServiceFacts>>)>,
}

/// Between two looks at what is due and has to wait.
const PAUSE: Duration = Duration::from_millis(500);
/// Until a namespace that was not there is tried again.
const ABSENT_MS: u64 = 5_000;

/// How a write went.
enum Outcome<T> {
    /// What stands now.
    Done(T),
    /// There is no such namespace, or it is about to go.
    NoNamespace,
    Refused(String),
}

/// What has become of a service at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// What should stand does.
    Stands,
    /// Something was written or refused: it is looked at again.
    Again,
}

// === impl Writer ===

impl Writer {
    /// One that has written nothing yet.
    pub fn new(client: Client, fence: Fence, clock: Clock, plans: Plans, seen: Seen) -> Self {
        let (due, pauses, absent) = (BTreeSet::new(), Pauses::default(), HashMap::new());
        let (kept, kept_statuses, in_vain) = (Kept::default(), Kept::default(), HashMap::new());
        Self { client, fence, clock, plans, seen, due, pauses, absent, kept, kept_statuses, in_vain }
    }

    /// Writes as long as the process lives.
    pub async fn run(mut self) {
        let (mut plans, mut seen) = (self.plans.wanted.follow(), self.seen.follow());
        plans.complete().await;
        seen.complete().await;
        loop {
            let (wanted, standing) = (plans.news(), seen.news());
            self.due.extend(wanted.into_keys(|| self.plans.wanted.keys()));
            self.due.extend(standing.into_keys(|| self.seen.with(|all| ours(all).cloned().collect())));
            self.work().await;
            tokio::select! {
                () = plans.changed() => {}
                () = seen.changed() => {}
                () = tokio::time::sleep(PAUSE), if !self.due.is_empty() => {}
            }
        }
    }

    /// Looks once at each that is due and may be written.
    async fn work(&mut self) {
        let now_ms = self.clock.monotonic_ms();
        self.pauses.sweep(now_ms);
        self.absent.retain(|_, until_ms| *until_ms > now_ms);
        let ready: Vec<_> = self.due.iter().filter(|key| self.pauses.may(key, now_ms)).cloned().collect();
        for key in ready {
            // A namespace may turn out to be absent meanwhile, and the term may end.
            if !self.fence.is_open() || self.absent.contains_key(&key.namespace) {
                continue;
            }
            let step = match self.plans.wanted.get(&key) {
                Some(plan) => match plan.union.clone() {
                    Some(union) => self.keep(&key, &plan, &union).await,
                    // Not known yet: it is left as it is.
                    None => Step::Stands,
                },
                None if self.seen.get(&key).is_some_and(|import| import.ours) => self.remove(&key).await,
                None => {
                    self.forget(&key);
                    Step::Stands
                }
            };
            if step == Step::Stands {
                self.due.remove(&key);
            }
        }
    }

    async fn keep(&mut self, key: &ServiceKey, plan: &Plan, union: &Union) -> Step {
        let import = self.seen.get(key);
        if import.as_ref().is_some_and(|import| !import.ours) {
            let words = format!(
                "the ServiceImport {key} was made by somebody else; remove it, or the other controller of the \
                 Multi-Cluster Services API, or set federation.serviceImports=false"
            );
            self.plans.refused.put(key, Some(words));
            return Step::Stands;
        }
        let spec = object::spec(union, plan.derived.as_deref());
        let stands = import.as_ref().is_some_and(|import| {
            import.content.as_deref() == Some(&*object::content(union))
                && self.kept.read(key, import.spec.clone()) == spec
        });
        if !stands {
            let imports: Api<ServiceImport> = Api::namespaced(self.client.clone(), &key.namespace);
            let written = apply(&imports, &key.name, &object::import(key, union, &spec)).await;
            if let Some(stands) = self.settle(key, written) {
                self.kept.wrote(key, &spec, &stands.spec);
            }
            return Step::Again;
        }
        let Some(import) = import else { return Step::Again };
        let change = plan.derived.as_deref().map_or(Change::Write, |facts| object::change(union, facts));
        let services: Api<Service> = Api::namespaced(self.client.clone(), &key.namespace);
        let derived = clusterset::derived(key);
        match change {
            Change::Write => {
                let wanted = object::derived(key, union, plan.derived.as_deref(), &import.uid);
                let over = plan.derived.clone();
                if self.in_vain.get(key).is_some_and(|(same, facts)| (same, facts) == (&wanted, &over)) {
                    return self.tell(key, plan, union, &import).await;
                }
                let written = apply_known(&services, &derived.name, &wanted).await;
                match self.settle(key, written) {
                    Some(stands) if object::lacks(&json!(stands), &wanted) => {
                        self.in_vain.insert(key.clone(), (wanted, over));
                    }
                    Some(_) => _ = self.in_vain.remove(key),
                    None => _ = self.tell(key, plan, union, &import).await,
                }
                Step::Again
            }
            Change::Replace => {
                let removed = delete(&services, &derived.name).await;
                self.settle(key, removed);
                Step::Again
            }
            Change::None => {
                self.in_vain.remove(key);
                self.plans.refused.put(key, None);
                self.tell(key, plan, union, &import).await
            }
        }
    }

    /// Its status, if another should stand.
    async fn tell(&mut self, key: &ServiceKey, plan: &Plan, union: &Union, import: &Import) -> Step {
        let refused = self.plans.refused.get(key);
        let status = object::status(union, plan, import, refused.as_deref(), self.clock.timestamp());
        if status == self.kept_statuses.read(key, import.status.clone()) {
            return Step::Stands;
        }
        let imports: Api<ServiceImport> = Api::namespaced(self.client.clone(), &key.namespace);
        let object = json!({
            "apiVersion": ServiceImport::api_version(&()), "kind": ServiceImport::kind(&()),
            "metadata": { "name": &*key.name, "namespace": &*key.namespace }, "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&object);
        let written =
            outcome(tokio::time::timeout(WRITE_TIMEOUT, imports.patch_status(&key.name, &params, &patch)).await);
        let now_ms = self.clock.monotonic_ms();
        match written {
            Outcome::Done(stands) => {
                // As it is read: times have no fractions there.
                let meant = serde_json::from_value(object["status"].clone()).unwrap_or_default();
                self.kept_statuses.wrote(key, &meant, &stands.status.unwrap_or_default());
                self.pauses.written(key, now_ms);
            }
            Outcome::NoNamespace | Outcome::Refused(_) => self.pauses.refused(key, now_ms),
        }
        Step::Again
    }

    /// There is to be none, and none is.
    fn forget(&mut self, key: &ServiceKey) {
        self.kept.forget(key);
        self.kept_statuses.forget(key);
        self.in_vain.remove(key);
    }

    /// With the import goes its Service; who has no garbage collector has it removed here.
    async fn remove(&mut self, key: &ServiceKey) -> Step {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &key.namespace);
        let imports: Api<ServiceImport> = Api::namespaced(self.client.clone(), &key.namespace);
        let removed = delete(&services, &clusterset::derived(key).name).await;
        if self.settle(key, removed).is_some() {
            let removed = delete(&imports, &key.name).await;
            self.settle(key, removed);
        }
        Step::Again
    }

    /// What stands if it went well; when it is tried again.
    fn settle<T>(&mut self, key: &ServiceKey, written: Outcome<T>) -> Option<T> {
        let now_ms = self.clock.monotonic_ms();
        match written {
            Outcome::Done(stands) => {
                self.pauses.written(key, now_ms);
                self.plans.refused.put(key, None);
                Some(stands)
            }
            Outcome::NoNamespace => {
                self.absent.insert(Name::clone(&key.namespace), now_ms + ABSENT_MS);
                None
            }
            Outcome::Refused(why) => {
                tracing::warn!(service = %key, why, "a ServiceImport or its Service cannot be written; it is tried again");
                self.pauses.refused(key, now_ms);
                self.plans.refused.put(key, Some(why));
                None
            }
        }
    }
}

async fn apply<K>(api: &Api<K>, name: &str, object: &Value) -> Outcome<K>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let params = PatchParams::apply(FIELD_MANAGER).force();
    outcome(tokio::time::timeout(WRITE_TIMEOUT, api.patch(name, &params, &Patch::Apply(object))).await)
}

/// The same of a Service. The cluster whose export decides may be newer than this one, and have a word for where traffic goes that
/// the API server here does not know: without it the service is called as most are.
async fn apply_known(api: &Api<Service>, name: &str, object: &Value) -> Outcome<Service> {
    const WORD: &str = "trafficDistribution";
    match apply(api, name, object).await {
        Outcome::Refused(why) if why.contains(WORD) && !object["spec"][WORD].is_null() => {
            tracing::warn!(service = name, why, "a derived Service is written without {WORD}");
            let mut object = object.clone();
            object["spec"].as_object_mut().map(|spec| spec.remove(WORD));
            apply(api, name, &object).await
        }
        outcome => outcome,
    }
}

/// What is gone already is as good as removed.
async fn delete<K>(api: &Api<K>, name: &str) -> Outcome<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let deleted = tokio::time::timeout(WRITE_TIMEOUT, api.delete(name, &DeleteParams::default())).await;
    match outcome(deleted) {
        Outcome::Done(_) | Outcome::NoNamespace => Outcome::Done(()),
        Outcome::Refused(why) => Outcome::Refused(why),
    }
}

fn outcome<T>(written: Result<kube::Result<T>, tokio::time::error::Elapsed>) -> Outcome<T> {
    match written {
        Ok(Ok(stands)) => Outcome::Done(stands),
        // The kind itself is there, since it was listed.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Outcome::NoNamespace,
        Ok(Err(kube::Error::Api(status))) if status.message.contains("because it is being terminated") => {
            Outcome::NoNamespace
        }
        Ok(Err(error)) => Outcome::Refused(kube_error::words(&error)),
        Err(_) => Outcome::Refused(format!("no answer within {WRITE_TIMEOUT:?}")),
    }
}

#[cfg(test)]
mod tests;
