//! A registration as it stands in the API: what the write-back compares with, and nothing more.

use std::collections::{BTreeMap, HashMap};
use std::io;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use rollcall_catalog::digest::Version;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_crds::{
    CheckStatus, EndpointSpec, EndpointStatus, Health, ServiceRegistration, ServiceRegistrationStatus,
};

use crate::kubernetes::Names;
use crate::writeback::packed::Packed;
use crate::writeback::status;

/// A registration as it stands in the API.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenRegistration {
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its uid, for Events.
    pub uid: String,
    /// The service that it joins.
    pub service: ServiceKey,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its generation, for `observedGeneration`.
    pub generation: Option<i64>,
    /// Its endpoints, in the order of the spec.
    pub endpoints: Box<[SeenEndpoint]>,
    /// How large it is without its status, in bytes of JSON.
    pub bytes: usize,
    /// Whether the whole of it is in maintenance, and why.
    pub maintenance: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// The version of its status.
    pub status: Version,
    conditions: Packed<Vec<Condition>>,
    /// What its status says of each endpoint, by name.
    pub told: Box<[(Name, Told)]>,
    /// What its checks said, by endpoint.
    pub checks: BTreeMap<Name, Vec<CheckStatus>>,
}

/// An endpoint of a registration as it stands in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenEndpoint {
    /// Its name.
    pub name: Name,
    /// Its addresses as they are written, with a space between them.
    addresses: Box<str>,
}

/// What a status says of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its health.
    pub health: Health,
    /// Since when.
    pub since: Timestamp,
    /// Whether callers get it.
    pub callable: bool,
    /// Whether it is left out.
    pub left_out: bool,
}

// === impl SeenRegistration ===

impl SeenRegistration {
    pub(super) fn of(registration: &ServiceRegistration, names: &mut Names) -> Self {
        let (spec, default) = (&registration.spec, rollcall_crds::ServiceRegistrationStatus::default());
        let said = registration.status.as_ref().unwrap_or(&default);
        let namespace = registration.namespace().unwrap_or_default();
        let endpoints: Box<[_]> = spec.endpoints.iter().map(|said| SeenEndpoint::of(said, names)).collect();
        Self {
            resource_version: registration.resource_version().unwrap_or_default(),
            uid: registration.uid().unwrap_or_default(),
            service: ServiceKey { namespace: names.get(&namespace), name: names.get(&spec.service) },
            labels: registration.labels().clone(),
            generation: registration.metadata.generation,
            bytes: bytes(registration),
            maintenance: spec.maintenance.as_ref().map(|maintenance| maintenance.reason.clone()),
            created: registration.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            status: status::version(said),
            conditions: Packed::new(&said.conditions),
            checks: said
                .endpoints
                .iter()
                .filter(|said| !said.checks.is_empty())
                .map(|said| (said.name.as_str().into(), said.checks.clone()))
                .collect(),
            told: told(said, &endpoints),
            endpoints,
        }
    }

    /// Its conditions.
    pub fn conditions(&self) -> Vec<Condition> {
        self.conditions.read()
    }

    /// What the status says of an endpoint.
    pub fn told(&self, endpoint: &str) -> Option<&Told> {
        let at = self.told.binary_search_by(|(name, _)| (**name).cmp(endpoint)).ok()?;
        self.told.get(at).map(|(_, told)| told)
    }
}

/// Names are those of the spec, shared, where it has them.
fn told(said: &ServiceRegistrationStatus, endpoints: &[SeenEndpoint]) -> Box<[(Name, Told)]> {
    let known: HashMap<&str, &Name> = endpoints.iter().map(|endpoint| (&*endpoint.name, &endpoint.name)).collect();
    let name = |said: &EndpointStatus| match known.get(said.name.as_str()) {
        Some(name) => Name::clone(name),
        None => said.name.as_str().into(),
    };
    let mut told: Box<[_]> = said.endpoints.iter().map(|said| (name(said), Told::of(said))).collect();
    told.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    told
}

// === impl SeenEndpoint ===

impl SeenEndpoint {
    fn of(said: &EndpointSpec, names: &mut Names) -> Self {
        Self { name: names.get(&said.name), addresses: said.addresses.join(" ").into() }
    }

    /// Its addresses as they are written.
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.split_whitespace().map(str::to_owned).collect()
    }
}

/// As etcd stores it, near enough: with its managed fields and without its status.
fn bytes(registration: &ServiceRegistration) -> usize {
    let mut counted = Counted::default();
    // Nothing in it fails to be written.
    let _ = serde_json::to_writer(&mut counted, &registration.spec);
    let _ = serde_json::to_writer(&mut counted, &registration.metadata);
    counted.0
}

/// Counts what is written.
#[derive(Default)]
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Told ===

impl Told {
    fn of(said: &EndpointStatus) -> Self {
        Self { health: said.health, since: said.since.0, callable: said.callable, left_out: said.message.is_some() }
    }
}
