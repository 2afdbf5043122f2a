//! A registration none of whose checks can be run any more, by a slip in its spec: what was checked goes on, and verdicts
//! stand. Nobody loses an endpoint by a word that does not say so.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;

use rollcall_catalog::few::Few;
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use super::Checks;
use super::begin::{self, Known};
use super::plan::Replacing;
use crate::definition::Target;
use crate::ledger::{Evidence, Subject, Vantage, Witness};

/// The port of what is only known from before: nothing is looked at there.
const NOWHERE: u16 = 0;

// === impl Checks ===

impl Checks {
    /// What is probed of endpoints that are still there.
    pub(super) fn going_on(&self, replacing: &Replacing<'_>) -> Vec<Target> {
        let ids = replacing.before.into_iter().flat_map(|before| &before.targets);
        let targets = ids.filter_map(|id| Some(&self.targets.get(id)?.target));
        let stays = |target: &&Target| {
            let planned = replacing.endpoints.get(&target.endpoint);
            planned.is_some_and(|planned| planned.addresses.contains(target.address.ip()))
        };
        targets.filter(stays).cloned().collect()
    }

    /// Has what was known of all other endpoints stand, in the name of `check`.
    pub(super) fn let_stand(
        &self,
        replacing: &Replacing<'_>,
        going_on: &[Target],
        check: &Name,
        subjects: &mut BTreeMap<Name, Subject>,
        now: Now,
    ) {
        let (origin, before) = (replacing.origin, replacing.before);
        let probed: HashSet<&Name> = going_on.iter().map(|target| &target.endpoint).collect();
        for planned in replacing.endpoints.iter().filter(|planned| !probed.contains(&planned.name)) {
            let (name, addresses) = (&planned.name, planned.addresses);
            let Some(ip) = addresses.iter().next() else { continue };
            let witness = Witness { name: Name::clone(check), vantage: Vantage::Address(SocketAddr::new(ip, NOWHERE)) };
            let stood = self.subject(origin, name).filter(|subject| subject.addresses == addresses);
            let stood = stood.and_then(|subject| subject.evidence.get(&witness).cloned());
            let known = Known {
                restored: replacing.restored.get(name),
                planned: before.and_then(|before| before.endpoints.get(name)).filter(|it| it.addresses == addresses),
                verdict: self.said_before(origin, name, before),
                same_name: None,
            };
            if let Some(evidence) = stood.or_else(|| as_known(&known, now)) {
                let subject = subjects.entry(Name::clone(name));
                let subject = subject.or_insert_with(|| Subject { addresses, evidence: Few::new() });
                subject.evidence.insert(witness, evidence);
            }
        }
    }
}

fn as_known(known: &Known<'_>, now: Now) -> Option<Evidence> {
    let Some(restored) = known.restored else {
        return begin::take_over(known, known.planned?, now).map(|state| state.evidence());
    };
    let verdict = &restored.verdict;
    let evidence =
        Evidence { health: verdict.health, since_ms: verdict.since_ms, reason: Name::clone(&verdict.reason) };
    (verdict.health != Health::Unknown).then_some(evidence)
}
