//! Everything that is to be checked of one registration.

use std::sync::Arc;

use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::{Origin, Verdict};
use rollcall_catalog::model::{Addresses, Name};

use crate::definition::Target;

/// Everything that is to be checked of one registration. It replaces the plan before it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The registration.
    pub origin: Arc<Origin>,
    /// The service that it joins.
    pub service: ServiceKey,
    /// Its generation, to tell whether a snapshot of the catalog has it already.
    pub generation: Option<i64>,
    /// Its endpoints.
    pub endpoints: Vec<Planned>,
    /// What to probe.
    pub targets: Vec<Target>,
    /// What an earlier process knew, by endpoint, of those that this process sees for the first time.
    pub restored: Vec<(Name, Restored)>,
    /// Whether its endpoints say themselves that they live: then they are not judged without a word about that.
    pub heartbeat: bool,
    /// Its checks, where none of them can be run: endpoints that were judged before are judged as they were. Without
    /// targets then.
    pub stuck: Vec<Name>,
}

/// An endpoint of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its name in the registration.
    pub name: Name,
    /// Where it is.
    pub addresses: Addresses,
    /// Callers are given it although nothing checks it.
    pub unchecked: bool,
}

/// The endpoints of a registration, by name. Most have few: a sorted list takes a third of the memory of a map.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(Box<[Planned]>);

/// What an earlier process knew of an endpoint at the same addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Its last verdict. One that an older version wrote has no checks.
    pub verdict: Verdict,
    /// It was written of the registration as it is now: no check can have changed since.
    pub current: bool,
}

// === impl Plan ===

impl Plan {
    /// Whether its endpoints are neither probed nor heard, and were not meant to be.
    pub(crate) fn checks_nothing(&self) -> bool {
        self.targets.is_empty() && !self.heartbeat && self.stuck.is_empty()
    }
}

// === impl Endpoints ===

impl Endpoints {
    /// The endpoint of that name.
    pub fn get(&self, name: &Name) -> Option<&Planned> {
        let at = self.0.binary_search_by(|planned| planned.name.cmp(name)).ok()?;
        self.0.get(at)
    }

    /// Each of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Planned> {
        self.0.iter()
    }
}

impl From<Vec<Planned>> for Endpoints {
    fn from(mut endpoints: Vec<Planned>) -> Self {
        endpoints.sort_by(|one, other| one.name.cmp(&other.name));
        endpoints.dedup_by(|one, other| one.name == other.name);
        Self(endpoints.into())
    }
}
