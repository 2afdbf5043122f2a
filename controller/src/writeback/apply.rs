//! One piece of work: the writes that bring an object, or a set of slices, in line with the catalog.

mod failure;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Resource, ResourceExt};
use rollcall_admin::LogRate;
use rollcall_catalog::digest::Version;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_crds::{
    CatalogEntry, DiscoveryPolicy, DiscoveryPolicyStatus, ServiceRegistration, ServiceRegistrationStatus,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;
use tracing::{Instrument, debug, field, info_span, warn};

pub use self::failure::Failure;
use super::metrics::Metrics;
use super::observed::Seen;
use super::{entries, limits, policies, slices, status};
use crate::kubernetes::ObjectKey;
use crate::kubernetes::denial_notices::DenialNotices;
use crate::kubernetes::guarded::Guarded;
use crate::leadership::fence::{Fence, WRITE_TIMEOUT};

/// Our name in the managed fields of what we write.
pub const FIELD_MANAGER: &str = "rollcall";

/// A quota, or a policy against Events, meets each of them.
static EVENTS_LOST: LogRate = LogRate::new(5, Duration::from_secs(10));

/// The writes that one target needs.
#[derive(Debug)]
pub enum Work {
    /// Slices to make, then slices to change, then slices to delete: endpoints come before they go.
    Slices {
        /// To be applied where nothing stands.
        create: Vec<EndpointSlice>,
        /// To be applied, each over the version that stands there.
        change: Vec<(EndpointSlice, String)>,
        /// To be deleted, each at the version that stands there.
        delete: Vec<(ObjectKey, String)>,
    },
    /// A registration's status, and the Events of what it says anew.
    Status(ObjectKey, String, Box<ServiceRegistrationStatus>, Vec<Event>),
    /// A policy's status.
    Policy(ObjectKey, String, Box<DiscoveryPolicyStatus>),
    /// A CatalogEntry, over the version that stands there.
    Entry(Box<CatalogEntry>, Option<String>),
    /// A CatalogEntry whose service is gone.
    RemoveEntry(ServiceKey, String),
}

/// What came of a piece of work.
#[derive(Debug, Default)]
pub struct Done {
    /// The content of each write, and what stands now.
    pub seen: Vec<(Version, Seen)>,
    /// The names of the objects that were written.
    pub written: Vec<Name>,
    /// What was not written. Writes that come after these were not tried.
    pub failures: Vec<Failed>,
}

/// An object that was not written.
#[derive(Debug)]
pub struct Failed {
    /// Its name.
    pub name: Name,
    /// What it would have been.
    pub content: Version,
    /// Of a slice: the addresses that would have been in it.
    pub addresses: BTreeSet<Name>,
    /// Why it is not.
    pub failure: Failure,
}

/// Makes writes.
#[derive(Clone)]
pub struct Applier {
    /// The API server.
    pub client: Client,
    /// When writes may be made.
    pub fence: Fence,
    /// The name of this replica, for Events.
    pub identity: Arc<str>,
    /// Where missing rights are told.
    pub denials: DenialNotices,
    /// Where writes are measured.
    pub metrics: Arc<Metrics>,
}

// === impl Work ===

impl Work {
    /// How many writes it is.
    pub fn writes(&self) -> usize {
        match self {
            Self::Slices { create, change, delete } => create.len() + change.len() + delete.len(),
            Self::Status(.., events) => 1 + events.len(),
            Self::Policy(..) | Self::Entry(..) | Self::RemoveEntry(..) => 1,
        }
    }
}

// === impl Done ===

impl Done {
    /// Takes in the end of one write; whether others may be tried.
    fn take(&mut self, name: &str, content: Version, result: Result<Seen, Failure>) -> bool {
        self.take_slice(name, content, BTreeSet::new(), result)
    }

    /// The same of a slice with these addresses.
    fn take_slice(
        &mut self,
        name: &str,
        content: Version,
        addresses: BTreeSet<Name>,
        result: Result<Seen, Failure>,
    ) -> bool {
        match result {
            Ok(seen) => {
                self.seen.push((content, seen));
                self.written.push(name.into());
                true
            }
            Err(failure) => {
                let goes_on = matches!(failure, Failure::Kube(kube::Error::Api(_)));
                self.failures.push(Failed { name: name.into(), content, addresses, failure });
                goes_on
            }
        }
    }
}

// === impl Applier ===

impl Applier {
    /// Makes the writes.
    pub async fn run(self, work: Work) -> Done {
        let mut done = Done::default();
        match work {
            Work::Slices { create, change, delete } => self.slices(create, change, delete, &mut done).await,
            Work::Status(key, version, status, events) => {
                let written = self.status::<Guarded<ServiceRegistration>>("status", &key, version, &status).await;
                let written = written.map(|written| match written {
                    Guarded::Good(written) => Seen::registration(&written),
                    Guarded::Bad(bad) => Seen::unreadable(&bad),
                });
                if done.take(&key.name, status::version(&status), written) {
                    self.publish(if done.failures.is_empty() { events } else { Vec::new() }).await;
                }
            }
            Work::Policy(key, version, status) => {
                let written = self.status::<DiscoveryPolicy>("policystatus", &key, version, &status).await;
                let written = written.map(|written| Seen::policy(&written));
                done.take(&key.name, policies::version(&status), written);
            }
            Work::Entry(entry, version) => {
                let (name, content) = (entry.name_any(), entries::version(&entry));
                let written = self.apply("catalogentry", *entry, version).await.map(|written| Seen::entry(&written));
                done.take(&name, content, written);
            }
            Work::RemoveEntry(key, version) => {
                let object = ObjectKey { namespace: Name::clone(&key.namespace), name: Name::clone(&key.name) };
                let gone = self.delete::<CatalogEntry>("catalogentry", &object, version).await;
                done.take(&object.name, Version::default(), gone.map(|()| Seen::EntryGone(key)));
            }
        }
        done
    }

    /// Each slice is written by itself. One that is refused keeps none of its kind from being tried; but nothing goes
    /// before all that comes has come: the endpoints of a slice that was refused may stand in one that would go.
    async fn slices(
        &self,
        create: Vec<EndpointSlice>,
        change: Vec<(EndpointSlice, String)>,
        delete: Vec<(ObjectKey, String)>,
        done: &mut Done,
    ) {
        let create = create.into_iter().map(|slice| (slice, None)).collect();
        let change = change.into_iter().map(|(slice, version)| (slice, Some(version))).collect();
        for stage in [create, change] {
            let stage: Vec<(EndpointSlice, Option<String>)> = stage;
            for (slice, version) in stage {
                let (name, content) = (slice.name_any(), slices::version(&slice));
                let addresses = slices::new_addresses(&slice, None);
                let written = self.apply("endpointslice", slice, version).await.map(Seen::slice);
                if !done.take_slice(&name, content, addresses, written) {
                    return;
                }
            }
            if !done.failures.is_empty() {
                return;
            }
        }
        for (key, version) in delete {
            let gone = self.delete::<EndpointSlice>("endpointslice", &key, version).await;
            let name = Name::clone(&key.name);
            if !done.take(&name, Version::default(), gone.map(|()| Seen::SliceGone(key))) {
                return;
            }
        }
    }

    /// Server-side apply of an object; over `version` if it stands already.
    async fn apply<K>(&self, kind: &'static str, mut object: K, version: Option<String>) -> Result<K, Failure>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Serialize
            + DeserializeOwned
            + fmt::Debug,
    {
        object.meta_mut().resource_version = version;
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let api: Api<K> = Api::namespaced(self.client.clone(), &namespace);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.guarded(kind, &namespace, &name, api.patch(&name, &params, &Patch::Apply(&object))).await
    }

    async fn status<K>(
        &self,
        kind: &'static str,
        key: &ObjectKey,
        version: String,
        status: &(impl Serialize + Sync),
    ) -> Result<K, Failure>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &key.namespace);
        let patch = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": { "resourceVersion": version },
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&patch);
        let write = api.patch_status(&key.name, &params, &patch);
        self.guarded(kind, &key.namespace, &key.name, write).await
    }

    /// Deletes an object as it was seen; that it is gone already is as good.
    async fn delete<K>(&self, kind: &'static str, key: &ObjectKey, version: String) -> Result<(), Failure>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &key.namespace);
        let preconditions = Some(Preconditions { resource_version: Some(version), uid: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.guarded(kind, &key.namespace, &key.name, api.delete(&key.name, &params)).await {
            Err(Failure::Kube(kube::Error::Api(status))) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }

    /// Events are for people: one that cannot be published is logged and not tried again.
    pub async fn publish(&self, events: Vec<Event>) {
        for mut event in events {
            event.reporting_instance = Some(limits::EVENT_INSTANCE.cut(&self.identity));
            let namespace = event.metadata.namespace.clone().unwrap_or_default();
            let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
            let name = event.metadata.name.clone().unwrap_or_default();
            match self.guarded("event", &namespace, &name, api.create(&PostParams::default(), &event)).await {
                // Told already, before an answer was lost.
                Err(Failure::Kube(kube::Error::Api(status))) if status.code == 409 => {}
                Err(Failure::Kube(error)) if self.denials.told(&error) => {
                    debug!(reason = event.reason.as_deref(), "event not published for want of a right");
                }
                Err(error) => {
                    if let Some(unsaid) = EVENTS_LOST.permit() {
                        warn!(%error, reason = event.reason.as_deref(), unsaid, "event could not be published");
                    }
                }
                Ok(_) => {}
            }
        }
    }

    /// No write without the fence, and none longer than the fence allows for.
    async fn guarded<T>(
        &self,
        object: &'static str,
        namespace: &str,
        name: &str,
        write: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Failure> {
        if !self.fence.is_open() {
            return Err(Failure::NotLeading);
        }
        let span = info_span!("write", object, namespace, name, result = field::Empty);
        let begin = Instant::now();
        let result = match tokio::time::timeout(WRITE_TIMEOUT, write).instrument(span.clone()).await {
            Ok(result) => result.map_err(Failure::Kube),
            Err(_) => Err(Failure::Timeout),
        };
        self.metrics.took(object, begin.elapsed());
        span.record("result", result.as_ref().map_or_else(Failure::kind, |_| "written"));
        result
    }
}

#[cfg(test)]
mod tests;
