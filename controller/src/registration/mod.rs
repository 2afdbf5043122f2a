//! A ServiceRegistration, read once: what the catalog is told, what is checked, and what in it cannot be used.
//!
//! - [`endpoints`]: an endpoint of the spec as the catalog has it, or why it cannot be used
//! - [`checks`]: the same for a check, and what is to be probed where
//! - [`heartbeat`]: which endpoints are to beat, and which silence convicts them
//! - [`pod_checks`]: the same for checks of pods, which a DiscoveryPolicy defines, and what an earlier process knew of them
//! - [`restored`]: verdicts of an earlier process, from the status
//! - [`stuck`]: none of the checks can be run
//!
//! Nobody else judges a spec: statuses, entries and explanations tell what came of it from the catalog's snapshot.

pub mod checks;
pub mod endpoints;
pub mod heartbeat;
pub mod pod_checks;
pub mod restored;
pub mod stuck;

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcall_catalog::input::{Contribution, Fault, Origin, OriginKind, Problem, Unusable};
use rollcall_catalog::intern::Interner;
use rollcall_catalog::model::{Attributes, Endpoint, HealthSource, Name, Port, ServiceKey};
use rollcall_crds::{ServiceRegistration, ServiceRegistrationSpec};
use rollcall_health::Plan;
use rollcall_health::beat::{Beating, Heartbeat};
use rollcall_health::plan::Planned;

use self::restored::Restored;
use self::stuck::Stuck;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::{Names, created};

/// Reads registrations. What many of them say alike is kept once.
#[derive(Debug, Default)]
pub struct Reader {
    names: Names,
    ports: Interner<[Port]>,
    attributes: Interner<Attributes>,
    restored: Restored,
}

/// What a registration says.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What the catalog is told: also what of it cannot be used.
    pub contribution: Contribution,
    /// What is to be checked of it, and what an earlier process knew.
    pub plan: Plan,
    /// How its endpoints are to beat, if they are.
    pub heartbeat: Option<Arc<Heartbeat>>,
    /// The endpoints that are to beat.
    pub beating: Vec<Beating>,
}

// === impl Reader ===

impl Reader {
    /// The catalog's name of a registration.
    pub fn origin(&mut self, key: &ObjectKey) -> Arc<Origin> {
        let namespace = self.names.get(&key.namespace);
        Arc::new(Origin::here(OriginKind::ServiceRegistration, namespace, Name::clone(&key.name)))
    }

    /// What it shares names by.
    pub fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// A registration is gone: one of the same name is another one.
    pub fn forget(&mut self, key: &ObjectKey) {
        self.restored.forget(key);
    }

    /// Reads one whose endpoints all have addresses.
    pub fn read(&mut self, registration: &ServiceRegistration) -> Reading {
        self.read_resolved(registration, &BTreeMap::new())
    }

    /// Reads one. `unresolved` has words about endpoints that are given by a name without an address.
    pub fn read_resolved(
        &mut self,
        registration: &ServiceRegistration,
        unresolved: &BTreeMap<String, String>,
    ) -> Reading {
        let spec = &registration.spec;
        let origin = self.origin(&ObjectKey::of(&registration.metadata));
        let (checks, mut problems) = checks::read(&origin.namespace, spec);
        let heartbeat = heartbeat::read(spec);
        let undecided = checks.is_empty() && heartbeat.is_none();
        let why = undecided.then(|| problems.first().cloned()).flatten();
        let seen = self.restored.seen(&registration.metadata);
        let restored = self.restored.take(registration);
        let stuck = why.map(|why| Stuck::new(why, &seen, &restored));
        if let Some(stuck) = &stuck {
            self.restored.keep(&registration.metadata, stuck.judged());
            problems.extend(stuck.told(spec));
        }
        problems.extend(endpoints::problems(spec));
        problems.extend(left_out(spec, unresolved));

        let (endpoints, unusable) = self.sorted_out(spec, unresolved, stuck.as_ref());
        let contribution = Contribution {
            service: ServiceKey { namespace: Name::clone(&origin.namespace), name: self.names.get(&spec.service) },
            origin,
            created: created(&registration.metadata),
            ports: self.ports(spec, &[]),
            endpoints: endpoints.into(),
            unusable,
            problems: problems.into(),
            generation: registration.metadata.generation,
            time_to_evict: checks::time_to_evict(&checks, heartbeat.as_deref()),
            deregister_after: spec.deregister_after.map(Into::into),
            penalties: restored::penalties(registration),
        };
        let planned = |endpoint: &Arc<Endpoint>| Planned {
            name: endpoint.name().to_name(),
            addresses: endpoint.addresses,
            unchecked: endpoint.health_source == HealthSource::Unchecked,
        };
        let beating =
            heartbeat.iter().flat_map(|_| heartbeat::beating(&contribution.endpoints, &seen, &restored)).collect();
        let plan = Plan {
            origin: Arc::clone(&contribution.origin),
            service: contribution.service.clone(),
            generation: contribution.generation,
            endpoints: contribution.endpoints.iter().map(planned).collect(),
            targets: checks::targets(&checks, &contribution.endpoints, spec),
            restored,
            heartbeat: heartbeat.is_some(),
            stuck: stuck.iter().flat_map(|_| &spec.checks).map(|check| check.name.as_str().into()).collect(),
        };
        Reading { contribution, plan, heartbeat, beating }
    }

    /// The endpoints that can be used, and the others with the reason.
    fn sorted_out(
        &mut self,
        spec: &ServiceRegistrationSpec,
        unresolved: &BTreeMap<String, String>,
        stuck: Option<&Stuck>,
    ) -> (Vec<Arc<Endpoint>>, Vec<Unusable>) {
        let mut endpoints = Vec::with_capacity(spec.endpoints.len());
        let mut unusable = Vec::new();
        for said in &spec.endpoints {
            let why = unresolved.get(&said.name).map(|words| problem(Fault::Unresolved, words.clone()));
            let why = why.filter(|_| said.addresses.is_empty());
            let cannot_check = stuck.and_then(|stuck| stuck.keeps_out(&said.name));
            match why.map_or_else(|| self.endpoint(spec, said, cannot_check), Err) {
                Ok(endpoint) => endpoints.push(Arc::new(endpoint)),
                Err(problem) => unusable.push(Unusable { name: self.names.get(&said.name), problem }),
            }
        }
        (endpoints, unusable)
    }
}

/// What is said of hosts whose other addresses are in use.
fn left_out<'a>(
    spec: &'a ServiceRegistrationSpec,
    unresolved: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = Problem> + 'a {
    let said = spec.endpoints.iter().filter(|said| !said.addresses.is_empty());
    let words = said.filter_map(|said| Some(format!("endpoint {}: {}", said.name, unresolved.get(&said.name)?)));
    words.map(|words| problem(Fault::UnsupportedValue, words))
}

/// A fault with its remedy.
fn problem(fault: rollcall_catalog::input::Fault, words: String) -> Problem {
    Problem { fault, words: words.into() }
}

#[cfg(test)]
mod tests;
