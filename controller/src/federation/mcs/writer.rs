//! Writes ServiceImports and derived Services. Every replica knows what should stand; the leader writes, and only what differs.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, Resource};
use rollcall_catalog::clusterset;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_crds::service_import::ServiceImport;
use serde_json::{Value, json};

use super::object::{self, Change};
use super::plans::{Plan, Plans};
use super::seen::{Import, Seen, ours};
use super::union::Union;
use crate::federation::pauses::Pauses;
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
}

/// Between two looks at what is due and has to wait.
const PAUSE: Duration = Duration::from_millis(500);
/// Until a namespace that was not there is tried again.
const ABSENT_MS: u64 = 5_000;

/// How a write went.
enum Outcome {
    Done,
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
        Self { client, fence, clock, plans, seen, due, pauses, absent }
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
                None => Step::Stands,
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
        let stands = import
            .as_ref()
            .is_some_and(|import| import.spec == spec && import.content.as_deref() == Some(&*object::content(union)));
        if !stands {
            let imports: Api<ServiceImport> = Api::namespaced(self.client.clone(), &key.namespace);
            let written = apply(&imports, &key.name, &object::import(key, union, &spec)).await;
            self.settle(key, written);
            return Step::Again;
        }
        let Some(import) = import else { return Step::Again };
        let change = plan.derived.as_deref().map_or(Change::Write, |facts| object::change(union, facts));
        let services: Api<Service> = Api::namespaced(self.client.clone(), &key.namespace);
        let derived = clusterset::derived(key);
        match change {
            Change::Write => {
                let wanted = object::derived(key, union, plan.derived.as_deref(), &import.uid);
                let written = apply(&services, &derived.name, &wanted).await;
                if !self.settle(key, written) {
                    self.tell(key, plan, union, &import).await;
                }
                Step::Again
            }
            Change::Replace => {
                let removed = delete(&services, &derived.name).await;
                self.settle(key, removed);
                Step::Again
            }
            Change::None => {
                self.plans.refused.put(key, None);
                self.tell(key, plan, union, &import).await
            }
        }
    }

    /// Its status, if another should stand.
    async fn tell(&mut self, key: &ServiceKey, plan: &Plan, union: &Union, import: &Import) -> Step {
        let refused = self.plans.refused.get(key);
        let status = object::status(union, plan, import, refused.as_deref(), self.clock.timestamp());
        if status == import.status {
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
            Outcome::Done => self.pauses.written(key, now_ms),
            Outcome::NoNamespace | Outcome::Refused(_) => self.pauses.refused(key, now_ms),
        }
        Step::Again
    }

    /// With the import goes its Service; who has no garbage collector has it removed here.
    async fn remove(&mut self, key: &ServiceKey) -> Step {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &key.namespace);
        let imports: Api<ServiceImport> = Api::namespaced(self.client.clone(), &key.namespace);
        let removed = delete(&services, &clusterset::derived(key).name).await;
        if self.settle(key, removed) {
            let removed = delete(&imports, &key.name).await;
            self.settle(key, removed);
        }
        Step::Again
    }

    /// Whether it went well; when it is tried again.
    fn settle(&mut self, key: &ServiceKey, written: Outcome) -> bool {
        let now_ms = self.clock.monotonic_ms();
        match written {
            Outcome::Done => {
                self.pauses.written(key, now_ms);
                self.plans.refused.put(key, None);
                true
            }
            Outcome::NoNamespace => {
                self.absent.insert(Name::clone(&key.namespace), now_ms + ABSENT_MS);
                false
            }
            Outcome::Refused(why) => {
                tracing::warn!(service = %key, why, "a ServiceImport or its Service cannot be written; it is tried again");
                self.pauses.refused(key, now_ms);
                self.plans.refused.put(key, Some(why));
                false
            }
        }
    }
}

async fn apply<K>(api: &Api<K>, name: &str, object: &Value) -> Outcome
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let params = PatchParams::apply(FIELD_MANAGER).force();
    outcome(tokio::time::timeout(WRITE_TIMEOUT, api.patch(name, &params, &Patch::Apply(object))).await)
}

/// What is gone already is as good as removed.
async fn delete<K>(api: &Api<K>, name: &str) -> Outcome
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let deleted = tokio::time::timeout(WRITE_TIMEOUT, api.delete(name, &DeleteParams::default())).await;
    match outcome(deleted) {
        Outcome::NoNamespace => Outcome::Done,
        other => other,
    }
}

fn outcome<T>(written: Result<kube::Result<T>, tokio::time::error::Elapsed>) -> Outcome {
    match written {
        Ok(Ok(_)) => Outcome::Done,
        // The kind itself is there, since it was listed.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Outcome::NoNamespace,
        Ok(Err(kube::Error::Api(status))) if status.message.contains("because it is being terminated") => {
            Outcome::NoNamespace
        }
        Ok(Err(error)) => Outcome::Refused(kube_error::words(&error)),
        Err(_) => Outcome::Refused(format!("no answer within {WRITE_TIMEOUT:?}")),
    }
}
