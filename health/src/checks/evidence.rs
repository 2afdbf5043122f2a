//! What others than our own probes say of an endpoint: its heartbeats, an agent on its machine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use super::begin::Known;
use super::{Change, Checks, Registration, begin};
use crate::beat::{self, instance};
use crate::ledger::{Evidence, Subject, Vantage, Witness};
use crate::plan::{Endpoints, Planned, Restored};

// === impl Checks ===

impl Checks {
    /// Takes in what a witness other than a probe says of an endpoint now, `None` if it says nothing any more; the change that
    /// follows, if one does. Of an endpoint that is in no plan nothing is kept: say it again after its registration.
    pub fn evidence(
        &mut self,
        origin: &Arc<Origin>,
        endpoint: &Name,
        witness: Witness,
        evidence: Option<Evidence>,
        now: Now,
    ) -> Option<Change> {
        let planned = self.registrations.get(origin)?.endpoints.get(endpoint)?;
        if evidence.is_some() {
            self.ledger.open(origin, endpoint, planned.addresses);
        }
        let before = self.subject(origin, endpoint).and_then(|subject| subject.evidence.get(&witness));
        let never_heard = before.is_some_and(|before| before.health == Health::Unknown);
        if never_heard && evidence.as_ref().is_some_and(instance::is_unheard_here) {
            return None;
        }
        // Since when it is so is known from before, perhaps by an earlier process: who says it may have begun only now.
        let evidence = evidence.map(|said| match before.filter(|before| before.health == said.health) {
            Some(before) => Evidence { since_ms: before.since_ms, ..said },
            None => said,
        });
        self.say(origin, endpoint, witness, evidence, true, now)
    }

    /// What is known of endpoints that say themselves that they live, before they have said so to this process: what callers
    /// have stands until their beats, or their silence, speak against it.
    pub(super) fn beats_begin(
        &self,
        origin: &Arc<Origin>,
        endpoints: &Endpoints,
        before: Option<&Registration>,
        restored: &HashMap<Name, Restored>,
        subjects: &mut BTreeMap<Name, Subject>,
        now: Now,
    ) {
        for planned in endpoints.iter() {
            let name = &planned.name;
            let same = |before: &&Planned| before.addresses == planned.addresses;
            let known = Known {
                restored: restored.get(name),
                planned: before.and_then(|before| before.endpoints.get(name)).filter(same),
                verdict: self.said_before(origin, name, before),
                same_name: None,
            };
            let subject = subjects
                .entry(Name::clone(name))
                .or_insert_with(|| Subject { addresses: planned.addresses, evidence: BTreeMap::new() });
            subject.evidence.entry(beat::witness()).or_insert_with(|| begin::begin_beat(&known, now));
        }
    }

    /// What was said so of endpoints that are still where they were.
    pub(super) fn kept(&self, origin: &Arc<Origin>, endpoints: &Endpoints) -> BTreeMap<Name, Subject> {
        let same = |(name, subject): (&Name, &Subject)| {
            endpoints.get(name).filter(|planned| planned.addresses == subject.addresses)?;
            let said = subject.evidence.iter().filter(|(witness, _)| !matches!(witness.vantage, Vantage::Address(_)));
            let evidence: BTreeMap<_, _> = said.map(|(witness, said)| (witness.clone(), said.clone())).collect();
            let subject = Subject { addresses: subject.addresses, evidence };
            (!subject.evidence.is_empty()).then(|| (Name::clone(name), subject))
        };
        self.ledger.subjects(origin).into_iter().flatten().filter_map(same).collect()
    }
}
