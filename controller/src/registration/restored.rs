//! Verdicts of an earlier process, from the status: a restarted replica must not show an endpoint as Unknown that it
//! knew as Passing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rollcall_catalog::input::{CheckVerdict, Verdict};
use rollcall_catalog::model::{Addresses, Health, Name};
use rollcall_catalog::treatment::Penalty;
use rollcall_crds::{self as api, CheckStatus, EndpointStatus, ServiceRegistration};
use rollcall_health::plan as health;
use xxhash_rust::xxh3::xxh3_64;

use crate::kubernetes::ObjectKey;

/// Takes up verdicts, each once.
#[derive(Debug, Default)]
pub struct Restored {
    /// The endpoints that this process has seen, by the hashes of their names, sorted: what their status says is of its
    /// own making from then on. Of two names with one hash the second is not restored, and checked at once.
    seen: HashMap<ObjectKey, Box<[u64]>>,
}

// === impl Restored ===

impl Restored {
    /// The endpoints that this process knew before it is told of this registration now, by the hashes of their names.
    pub fn seen(&self, metadata: &ObjectMeta) -> Box<[u64]> {
        self.seen.get(&ObjectKey::of(metadata)).cloned().unwrap_or_default()
    }

    /// Verdicts in the status for endpoints that this process sees for the first time, where they are.
    pub fn take(&mut self, registration: &ServiceRegistration) -> Vec<(Name, health::Restored)> {
        let spec = &registration.spec;
        let mut now: Box<[u64]> = spec.endpoints.iter().map(|endpoint| hash(&endpoint.name)).collect();
        now.sort_unstable();
        let seen = self.seen.insert(ObjectKey::of(&registration.metadata), now).unwrap_or_default();
        if spec.checks.is_empty() && spec.heartbeat.is_none() {
            return Vec::new();
        }
        let status = registration.status.as_ref();
        let current = status.is_some_and(|status| status.observed_generation == registration.metadata.generation);
        let said: BTreeMap<_, _> =
            registration.status.iter().flat_map(|status| &status.endpoints).map(|said| (&said.name, said)).collect();
        let fresh = spec.endpoints.iter().filter(|endpoint| seen.binary_search(&hash(&endpoint.name)).is_err());
        let restored = fresh.filter_map(|endpoint| {
            let said = said.get(&endpoint.name).filter(|said| said.addresses == endpoint.addresses)?;
            Some((endpoint.name.as_str().into(), health::Restored { verdict: verdict(said)?, current }))
        });
        restored.collect()
    }

    /// Of the endpoints that this process sees now, only these count as seen later: the others are not in use.
    pub fn keep(&mut self, metadata: &ObjectMeta, judged: &HashSet<u64>) {
        if let Some(seen) = self.seen.get_mut(&ObjectKey::of(metadata)) {
            *seen = seen.iter().copied().filter(|name| judged.contains(name)).collect();
        }
    }

    /// A registration is gone: one of the same name is another one.
    pub fn forget(&mut self, key: &ObjectKey) {
        self.seen.remove(key);
    }
}

/// What is kept of a name.
pub fn hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// What the status says of the falls of endpoints. Of those that the catalog has seen fall it knows better.
pub fn penalties(registration: &ServiceRegistration) -> Vec<(Name, Penalty)> {
    let told = registration.status.iter().flat_map(|status| &status.endpoints);
    let penalty = |said: &EndpointStatus| {
        let flaps = said.flaps.as_ref()?;
        let penalty = Penalty { value: flaps.penalty, at_ms: flaps.at.0.as_millisecond(), damped: flaps.damped };
        Some((said.name.as_str().into(), penalty))
    };
    told.filter_map(penalty).collect()
}

fn verdict(said: &EndpointStatus) -> Option<Verdict> {
    let ips: Result<Vec<IpAddr>, _> = said.addresses.iter().map(|ip| ip.parse()).collect();
    let check = |said: &CheckStatus| CheckVerdict {
        name: said.name.as_str().into(),
        health: health(said.health),
        since_ms: said.since.0.as_millisecond(),
        reason: said.reason.as_str().into(),
        on_machine: said.on_machine,
    };
    let verdict = Verdict {
        health: health(said.health),
        since_ms: said.since.0.as_millisecond(),
        reason: said.reason.as_str().into(),
        addresses: Addresses::from_ips(ips.ok()?)?,
        checks: said.checks.iter().map(check).collect(),
    };
    (verdict.health != Health::Unknown || !verdict.checks.is_empty()).then_some(verdict)
}

/// In maintenance its checks go on, and know how it is.
pub fn health(said: api::Health) -> Health {
    match said {
        api::Health::Passing => Health::Passing,
        api::Health::Warning => Health::Warning,
        api::Health::Critical => Health::Critical,
        api::Health::Maintenance | api::Health::Unknown => Health::Unknown,
    }
}
