//! What stands in the API: versions of our slices and entries, and the status of registrations.

mod registration;
mod unreadable;
mod written;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::ResourceExt;
use rollcall_catalog::digest::Version;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_crds::{CatalogEntry, DiscoveryPolicy, FailingPod, ServiceRegistration};
use tokio::sync::mpsc;

pub use self::registration::{SeenEndpoint, SeenRegistration, Told};
pub use self::unreadable::Unreadable;
use self::written::Written;
use super::packed::Packed;
use super::{entries, owned, policies, slices};
use crate::kubernetes::Names;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::guarded::Bad;
use crate::kubernetes::kept::Kept;

/// What the watches tell the write-back.
#[derive(Debug)]
pub enum Seen {
    /// One of our EndpointSlices, and the Service that it names.
    Slice(ObjectKey, Option<ServiceKey>, StandingSlice),
    /// One of our EndpointSlices is gone.
    SliceGone(ObjectKey),
    /// A CatalogEntry.
    Entry(ServiceKey, SeenEntry),
    /// A CatalogEntry is gone.
    EntryGone(ServiceKey),
    /// A registration.
    Registration(ObjectKey, Box<SeenRegistration>),
    /// A registration is gone.
    RegistrationGone(ObjectKey),
    /// A registration is there and cannot be decoded.
    Unreadable(ObjectKey, Box<Unreadable>),
    /// A policy.
    Policy(ObjectKey, SeenPolicy),
    /// A policy is gone.
    PolicyGone(ObjectKey),
    /// Every object of a kind has been seen once.
    Synced(Source),
}

/// An object as it stands in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stands {
    /// Its resourceVersion, to write over exactly this and nothing newer.
    pub resource_version: String,
    /// The version of what matters about it.
    pub content: Version,
}

/// One of our slices as it stands in the API.
#[derive(Clone, Debug, PartialEq)]
pub struct StandingSlice {
    /// The object.
    pub stands: Stands,
    /// What is in it, without what is the API server's.
    packed: Packed<EndpointSlice>,
}

/// A CatalogEntry as it stands in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenEntry {
    /// The object.
    pub stands: Stands,
    /// Its `revision`.
    pub revision: String,
    /// When the revision changed.
    pub last_change: Option<Timestamp>,
}

/// A policy as it stands in the API.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenPolicy {
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its generation, for `observedGeneration`.
    pub generation: Option<i64>,
    /// The version of its status.
    pub status: Version,
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// The pods that fail, as it tells them.
    pub failing: Vec<FailingPod>,
}

/// The way of the watches to the write-back.
#[derive(Clone, Debug)]
pub struct Observations(mpsc::Sender<Seen>);

/// Everything that stands in the API and concerns the write-back.
#[derive(Debug, Default)]
pub struct Observed {
    /// Sorted by name. Most services have one: a node of a tree has room for eleven.
    slices: HashMap<ServiceKey, Vec<(Name, StandingSlice)>>,
    slice_services: HashMap<ObjectKey, ServiceKey>,
    /// CatalogEntries.
    pub entries: HashMap<ServiceKey, SeenEntry>,
    /// DiscoveryPolicies.
    pub policies: HashMap<ObjectKey, SeenPolicy>,
    registrations: HashMap<ObjectKey, Box<SeenRegistration>>,
    /// Sorted.
    by_service: HashMap<ServiceKey, Vec<ObjectKey>>,
    /// Registrations that are there and cannot be decoded.
    unreadable: BTreeMap<ObjectKey, Unreadable>,
    /// By the contents of writes of which the API server kept less.
    kept: Kept<Written, Version>,
}

/// Messages that wait at most.
const QUEUE: usize = 8192;

// === impl Seen ===

impl Seen {
    /// One of our slices. Its name says which Service it was written for, whatever became of its label since.
    pub fn slice(slice: EndpointSlice) -> Self {
        let key = ObjectKey::of(&slice.metadata);
        let label = slice.labels().get(slices::SERVICE_LABEL).map(String::as_str);
        let service = owned::service_of(&slice.metadata).or(label);
        let service = service.map(|name| ServiceKey { namespace: Name::clone(&key.namespace), name: name.into() });
        let resource_version = slice.resource_version().unwrap_or_default();
        let stands = Stands { resource_version, content: slices::version(&slice) };
        Self::Slice(key, service, StandingSlice { stands, packed: pack(slice) })
    }

    /// A CatalogEntry.
    pub fn entry(entry: &CatalogEntry) -> Self {
        let ObjectKey { namespace, name } = ObjectKey::of(&entry.metadata);
        Self::Entry(ServiceKey { namespace, name }, SeenEntry::of(entry))
    }

    /// A registration that cannot be decoded.
    pub fn unreadable(bad: &Bad) -> Self {
        Self::Unreadable(ObjectKey::of(&bad.metadata), Box::new(Unreadable::of(bad)))
    }

    /// A registration.
    pub fn registration(registration: &ServiceRegistration) -> Self {
        Self::registration_sharing(registration, &mut Names::default())
    }

    /// A registration, whose names are shared with whom these are of.
    pub fn registration_sharing(registration: &ServiceRegistration, names: &mut Names) -> Self {
        Self::Registration(ObjectKey::of(&registration.metadata), Box::new(SeenRegistration::of(registration, names)))
    }

    /// A policy.
    pub fn policy(policy: &DiscoveryPolicy) -> Self {
        let status = policy.status.clone().unwrap_or_default();
        let seen = SeenPolicy {
            resource_version: policy.resource_version().unwrap_or_default(),
            generation: policy.metadata.generation,
            status: policies::version(&status),
            conditions: status.conditions,
            failing: status.failing_pods,
        };
        Self::Policy(ObjectKey::of(&policy.metadata), seen)
    }
}

// === impl StandingSlice ===

impl StandingSlice {
    /// What is in it, without what is the API server's.
    pub fn slice(&self) -> EndpointSlice {
        self.packed.read()
    }
}

fn pack(slice: EndpointSlice) -> Packed<EndpointSlice> {
    let metadata = ObjectMeta { name: slice.metadata.name, ..ObjectMeta::default() };
    Packed::new(&EndpointSlice { metadata, ..slice })
}

// === impl SeenEntry ===

impl SeenEntry {
    /// What matters of an entry.
    pub fn of(entry: &CatalogEntry) -> Self {
        Self {
            stands: Stands {
                resource_version: entry.resource_version().unwrap_or_default(),
                content: entries::version(entry),
            },
            revision: entry.spec.revision.clone(),
            last_change: entry.spec.last_change_time.as_ref().map(|time| time.0),
        }
    }
}

// === impl Observations ===

impl Observations {
    /// The way in, and its end.
    pub fn new() -> (Self, mpsc::Receiver<Seen>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Sends, waiting for room. During shutdown the message is dropped.
    pub async fn send(&self, seen: Seen) {
        let _ = self.0.send(seen).await;
    }
}

// === impl Observed ===

impl Observed {
    /// What was written with the content `meant` stands like this by the answer.
    pub fn wrote(&mut self, meant: Version, answer: &Seen) {
        if let Some((what, Some(stands))) = answer.written() {
            self.kept.wrote(&what, &meant, &stands);
        }
    }

    /// Of what is gone it matters no more what was meant.
    pub fn forget(&mut self, seen: &Seen) {
        if let Some((what, None)) = seen.written() {
            self.kept.forget(&what);
        }
    }

    /// Our slices of a service, by name.
    pub fn slices(&self, service: &ServiceKey) -> impl Iterator<Item = (&Name, &StandingSlice)> {
        self.slices.get(service).into_iter().flatten().map(|(name, slice)| (name, slice))
    }

    /// Services that have slices of ours.
    pub fn services_with_slices(&self) -> impl Iterator<Item = &ServiceKey> {
        self.slices.keys()
    }

    /// A slice as it stands now; the services whose slices have to be looked at because of it.
    pub fn put_slice(
        &mut self,
        key: &ObjectKey,
        service: Option<ServiceKey>,
        mut slice: StandingSlice,
    ) -> Vec<ServiceKey> {
        slice.stands.content = self.kept.read(&Written::Slice(key.clone()), slice.stands.content);
        let slices = self.slice_services.get(key).and_then(|service| self.slices.get(service));
        let known = slices.and_then(|slices| Some(&slices[place(slices, &key.name).ok()?].1));
        if known.is_some_and(|known| is_older(&slice.stands, &known.stands)) {
            return Vec::new();
        }
        let mut concerned = self.remove_slice(key);
        // A slice whose service label was taken off would never be found again; its name starts with the service's.
        let service = service.or_else(|| concerned.first().cloned());
        if let Some(service) = service {
            self.slice_services.insert(key.clone(), service.clone());
            let slices = self.slices.entry(service.clone()).or_insert_with(|| Vec::with_capacity(1));
            match place(slices, &key.name) {
                Ok(at) => slices[at].1 = slice,
                Err(at) => slices.insert(at, (Name::clone(&key.name), slice)),
            }
            concerned.push(service);
        }
        concerned
    }

    /// A slice is gone; the service that it was of.
    pub fn remove_slice(&mut self, key: &ObjectKey) -> Vec<ServiceKey> {
        let Some(service) = self.slice_services.remove(key) else { return Vec::new() };
        if let Some(slices) = self.slices.get_mut(&service) {
            slices.retain(|(name, _)| *name != key.name);
            if slices.is_empty() {
                self.slices.remove(&service);
            }
        }
        vec![service]
    }

    /// An entry as it stands now; whether that is news.
    pub fn put_entry(&mut self, key: ServiceKey, mut seen: SeenEntry) -> bool {
        seen.stands.content = self.kept.read(&Written::Entry(key.clone()), seen.stands.content);
        if self.entries.get(&key).is_some_and(|known| is_older(&seen.stands, &known.stands)) {
            return false;
        }
        self.entries.insert(key, seen.clone()) != Some(seen)
    }

    /// A policy as it stands now; whether that is news.
    pub fn put_policy(&mut self, key: ObjectKey, mut seen: SeenPolicy) -> bool {
        seen.status = self.kept.read(&Written::Policy(key.clone()), seen.status);
        let known = self.policies.get(&key);
        if known.is_some_and(|known| version_number(&seen.resource_version) < version_number(&known.resource_version)) {
            return false;
        }
        self.policies.insert(key, seen.clone()) != Some(seen)
    }

    /// A registration as it stands now; whether that is news.
    pub fn put_registration(&mut self, key: ObjectKey, mut seen: SeenRegistration) -> bool {
        seen.status = self.kept.read(&Written::Status(key.clone()), seen.status);
        self.unreadable.remove(&key);
        let known = self.registrations.get(&key);
        if known.is_some_and(|known| version_number(&seen.resource_version) < version_number(&known.resource_version)) {
            return false;
        }
        let news = known.is_none_or(|known| {
            known.status != seen.status
                || known.generation != seen.generation
                // A host has other addresses.
                || known.endpoints != seen.endpoints
        });
        let keys = self.by_service.entry(seen.service.clone()).or_insert_with(|| Vec::with_capacity(1));
        if let Err(at) = keys.binary_search(&key) {
            keys.insert(at, key.clone());
        }
        self.registrations.insert(key, Box::new(seen));
        news
    }

    /// A registration is gone; the service that it joined.
    pub fn remove_registration(&mut self, key: &ObjectKey) -> Option<ServiceKey> {
        self.unreadable.remove(key);
        let gone = self.registrations.remove(key)?;
        if let Some(keys) = self.by_service.get_mut(&gone.service) {
            keys.retain(|known| known != key);
            if keys.is_empty() {
                self.by_service.remove(&gone.service);
            }
        }
        Some(gone.service)
    }

    /// A registration is there and cannot be decoded; whether that is news.
    pub fn put_unreadable(&mut self, key: ObjectKey, seen: Unreadable) -> bool {
        self.unreadable.insert(key, seen.clone()) != Some(seen)
    }

    /// What stands of a registration that cannot be decoded.
    pub fn unreadable(&self, key: &ObjectKey) -> Option<&Unreadable> {
        self.unreadable.get(key)
    }

    /// Whether a registration in this namespace is there and cannot be decoded.
    pub fn has_unreadable(&self, namespace: &str) -> bool {
        self.unreadable.keys().any(|key| &*key.namespace == namespace)
    }

    /// A registration.
    pub fn registration(&self, key: &ObjectKey) -> Option<&SeenRegistration> {
        self.registrations.get(key).map(|seen| &**seen)
    }

    /// Every registration's key.
    pub fn registrations(&self) -> impl Iterator<Item = &ObjectKey> {
        let readable = self.registrations.keys().filter(|key| !self.unreadable.contains_key(key));
        readable.chain(self.unreadable.keys())
    }

    /// The registrations that join a service.
    pub fn registrations_of(&self, service: &ServiceKey) -> impl Iterator<Item = &ObjectKey> {
        self.by_service.get(service).into_iter().flatten()
    }
}

/// Where a slice is among those of its service, or would be.
fn place(slices: &[(Name, StandingSlice)], name: &Name) -> Result<usize, usize> {
    slices.binary_search_by(|(known, _)| known.cmp(name))
}

/// Whether `seen` is older than what is known, which a watch may deliver after our own write (KEP-5504: versions of one
/// kind are comparable as numbers). A version that is no number is taken as news.
fn is_older(seen: &Stands, known: &Stands) -> bool {
    match (version_number(&seen.resource_version), version_number(&known.resource_version)) {
        (Some(seen), Some(known)) => seen < known,
        _ => false,
    }
}

fn version_number(version: &str) -> Option<u128> {
    version.parse().ok()
}

#[cfg(test)]
mod tests;
