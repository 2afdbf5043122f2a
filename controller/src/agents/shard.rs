//! One ServiceRegistration that agents share: read from the API, and written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use kube::api::ObjectMeta;
use rollcall_catalog::ServiceKey;
use rollcall_catalog::model::Name;
use rollcall_crds::{EndpointSpec, PortOverride, PortSpec, ServiceRegistration, ServiceRegistrationSpec};
use serde_json::Value;

use super::endpoint::Endpoint;
use super::instance::{Instance, MACHINE};
use super::set::{Set, SetKey};
use crate::kubernetes::ObjectKey;

/// One object that agents share, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Shard {
    /// Its resourceVersion: it is written over exactly this and nothing newer.
    pub version: String,
    /// Its uid: what is deleted is this and no other of the name.
    pub uid: String,
    /// Which instances may stand in it.
    pub set: SetKey,
    /// What it says for all of them.
    pub spec: Arc<ServiceRegistrationSpec>,
    /// What agents said of each endpoint, and nothing that others set.
    pub endpoints: BTreeMap<Name, Endpoint>,
}

/// Our name in the managed fields of what agents register. Another than that of statuses: the spec of registrations that
/// people wrote is never ours.
pub const FIELD_MANAGER: &str = "rollcall-agents";
/// Who manages an object, by the label that Kubernetes recommends.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "rollcall-agents");
/// The label with the hash of the set.
pub const SET: &str = "agents.rollcall.dev/set";
/// Before the name of a machine: the label that says that the object has instances of it.
pub const MACHINE_PREFIX: &str = "machine.rollcall.dev/";
/// Endpoints of one object: what the API takes.
pub const ENDPOINTS_MAX: usize = 100;

// === impl Shard ===

impl Shard {
    /// Reads an object; `None` when it is none of agents'.
    pub fn read(registration: &ServiceRegistration) -> Option<Self> {
        let labels = registration.labels();
        if labels.get(MANAGED_BY.0).is_none_or(|by| by != MANAGED_BY.1) {
            return None;
        }
        let namespace = registration.namespace().unwrap_or_default();
        let service = ServiceKey::new(namespace, registration.spec.service.as_str());
        let owned = Owned::of(registration);
        let endpoint = |endpoint: &EndpointSpec| {
            let mut ours = endpoint.clone();
            if !owned.has_maintenance(&endpoint.name) {
                ours.maintenance = None;
            }
            (endpoint.name.as_str().into(), Endpoint::pack(&ours))
        };
        let endpoints = registration.spec.endpoints.iter().map(endpoint).collect();
        let spec = ServiceRegistrationSpec { endpoints: Vec::new(), maintenance: None, ..registration.spec.clone() };
        Some(Self {
            version: registration.resource_version().unwrap_or_default(),
            uid: registration.uid().unwrap_or_default(),
            set: SetKey { service, hash: labels.get(SET).cloned().unwrap_or_default() },
            spec: Arc::new(spec),
            endpoints,
        })
    }

    /// Whether two versions of it differ in nothing that agents say.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.uid == other.uid && self.set == other.set && self.spec == other.spec && self.endpoints == other.endpoints
    }

    /// An object that does not stand yet.
    pub fn new(set: &Set) -> Self {
        Self {
            version: String::new(),
            uid: String::new(),
            set: set.key(),
            spec: Arc::new(set.spec.clone()),
            endpoints: BTreeMap::new(),
        }
    }

    /// An instance as this object would say it: numbers of ports that are those of the object are not said again.
    pub fn endpoint_of(&self, instance: &Instance) -> Endpoint {
        let is_said =
            |own: &PortSpec| self.spec.ports.iter().any(|port| port.name == own.name && port.port == own.port);
        let own = instance.set.spec.ports.iter().filter(|own| !is_said(own));
        let ports: Vec<_> = own.map(|own| PortOverride { name: own.name.clone(), port: own.port }).collect();
        match ports.is_empty() {
            true => instance.endpoint.clone(),
            false => Endpoint::pack(&EndpointSpec { ports, ..instance.endpoint.unpack() }),
        }
    }

    /// Keeps once what both of them say.
    pub fn share(&mut self, with: &Self) {
        let own = std::mem::take(&mut self.endpoints).into_iter();
        let shared = own.map(|(name, endpoint)| match with.endpoints.get_key_value(&name) {
            Some((known, same)) if *same == endpoint => (Name::clone(known), same.clone()),
            _ => (name, endpoint),
        });
        self.endpoints = shared.collect();
    }

    /// The object to be applied. It says only what agents say, so that all else stays whoever's it is.
    pub fn object(&self, key: &ObjectKey) -> ServiceRegistration {
        let endpoints: Vec<_> = self.endpoints.values().map(Endpoint::unpack).collect();
        let machines: BTreeSet<_> =
            endpoints.iter().filter_map(|endpoint| endpoint.metadata.get(MACHINE).cloned()).collect();
        let spec = ServiceRegistrationSpec { endpoints, ..ServiceRegistrationSpec::clone(&self.spec) };
        let labels = machines.into_iter().map(|machine| (format!("{MACHINE_PREFIX}{machine}"), String::new()));
        let known = [(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned()), (SET.to_owned(), self.set.hash.clone())];
        let mut object = ServiceRegistration::new(&key.name, spec);
        object.metadata = ObjectMeta {
            name: Some(key.name.to_string()),
            namespace: Some(key.namespace.to_string()),
            labels: Some(labels.chain(known).collect()),
            resource_version: Some(self.version.clone()).filter(|version| !version.is_empty()),
            ..ObjectMeta::default()
        };
        object
    }
}

/// What of an object is ours, by its managed fields (FieldsV1 of structured-merge-diff: `f:` before a field, `k:` before
/// the key of an item).
struct Owned<'a>(Option<&'a Value>);

// === impl Owned ===

impl<'a> Owned<'a> {
    fn of(registration: &'a ServiceRegistration) -> Self {
        let ours = registration.managed_fields().iter().find(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
        Self(ours.and_then(|entry| entry.fields_v1.as_ref()?.0.pointer("/f:spec/f:endpoints")))
    }

    /// Whether an agent put this endpoint into maintenance. Where nothing tells, an operator may have: it is theirs. Where
    /// the list is one value, all of it is ours.
    fn has_maintenance(&self, endpoint: &str) -> bool {
        let Some(endpoints) = self.0 else { return false };
        let item = endpoints.get(format!("k:{{\"name\":\"{endpoint}\"}}"));
        let is_whole = endpoints.as_object().is_some_and(serde_json::Map::is_empty);
        is_whole || item.is_some_and(|item| item.get("f:maintenance").is_some())
    }
}
