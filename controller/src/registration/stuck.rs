//! None of a registration's checks can be run, by a slip in its spec: that takes no endpoint out that was judged before.

use std::collections::HashSet;

use rollcall_catalog::input::Problem;
use rollcall_catalog::model::{Health, Name};
use rollcall_crds::ServiceRegistrationSpec;
use rollcall_health::plan::Restored;

use super::problem;
use super::restored::hash;

/// Why no check can be run, and the endpoints that were judged while one could.
#[derive(Clone, Debug)]
pub struct Stuck {
    why: Problem,
    judged: HashSet<u64>,
}

// === impl Stuck ===

impl Stuck {
    /// `seen` are hashes of the names that this process had in use, `restored` what an earlier one knew.
    pub fn new(why: Problem, seen: &[u64], restored: &[(Name, Restored)]) -> Self {
        let known = restored.iter().filter(|(_, restored)| restored.verdict.health != Health::Unknown);
        Self { why, judged: seen.iter().copied().chain(known.map(|(name, _)| hash(name))).collect() }
    }

    /// The hashes of the names of endpoints that stay in use.
    pub fn judged(&self) -> &HashSet<u64> {
        &self.judged
    }

    /// Why an endpoint cannot be used; `None` for one that stays.
    pub fn keeps_out(&self, endpoint: &str) -> Option<&Problem> {
        (!self.judged.contains(&hash(endpoint))).then_some(&self.why)
    }

    /// What is said of those that stay, if any do.
    pub fn told(&self, spec: &ServiceRegistrationSpec) -> Option<Problem> {
        let words = "as no check can be run, endpoints that were judged before stay as they are, and what was checked of \
                     them goes on being checked";
        let any = spec.endpoints.iter().any(|said| self.keeps_out(&said.name).is_none());
        any.then(|| problem(self.why.fault, words.to_owned()))
    }
}
