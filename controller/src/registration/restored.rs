//! Verdicts of an earlier process, from the status: a restarted replica must not show an endpoint as Unknown that it
//! knew as Passing.

use std::collections::{BTreeMap, HashMap, HashSet};

use rollcall_catalog::input::Verdict;
use rollcall_catalog::model::{Health, Name};
use rollcall_crds::{self as api, EndpointStatus, ServiceRegistration};

use crate::kubernetes::ObjectKey;

/// Takes up verdicts, each once.
#[derive(Debug, Default)]
pub struct Restored {
    /// The endpoints that this process has seen: what their status says is of its own making from then on.
    seen: HashMap<ObjectKey, HashSet<String>>,
}

// === impl Restored ===

impl Restored {
    /// Verdicts in the status for endpoints that this process sees for the first time, where they are.
    pub fn take(&mut self, registration: &ServiceRegistration) -> Vec<(Name, Verdict)> {
        let spec = &registration.spec;
        let now = spec.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
        let seen = self.seen.insert(ObjectKey::of(&registration.metadata), now).unwrap_or_default();
        if spec.checks.is_empty() {
            return Vec::new();
        }
        let said: BTreeMap<_, _> =
            registration.status.iter().flat_map(|status| &status.endpoints).map(|said| (&said.name, said)).collect();
        let fresh = spec.endpoints.iter().filter(|endpoint| !seen.contains(&endpoint.name));
        let restored = fresh.filter_map(|endpoint| {
            let said = said.get(&endpoint.name).filter(|said| said.addresses == endpoint.addresses)?;
            Some((endpoint.name.as_str().into(), verdict(said)?))
        });
        restored.collect()
    }

    /// A registration is gone: one of the same name is another one.
    pub fn forget(&mut self, key: &ObjectKey) {
        self.seen.remove(key);
    }
}

fn verdict(said: &EndpointStatus) -> Option<Verdict> {
    let health = match said.health {
        api::Health::Passing => Health::Passing,
        api::Health::Warning => Health::Warning,
        api::Health::Critical => Health::Critical,
        api::Health::Maintenance | api::Health::Unknown => return None,
    };
    Some(Verdict { health, since_ms: said.since.0.as_millisecond(), reason: said.reason.as_str().into() })
}
