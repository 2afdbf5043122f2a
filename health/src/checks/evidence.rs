//! What others than our own probes say of an endpoint: its heartbeats, an agent on its machine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rollcall_catalog::few::Few;
use rollcall_catalog::input::Origin;
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use super::begin::Known;
use super::listening::Source;
use super::{Change, Checks, Registration, begin};
use crate::beat::machine::{self, Judged};
use crate::beat::{self, Ear, instance};
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
        let is_unheard_here = evidence.as_ref().is_some_and(instance::is_unheard_here);
        if never_heard && is_unheard_here {
            return None;
        }
        if is_unheard_here && self.is_heard_elsewhere(origin, endpoint) {
            self.listen(origin, endpoint, Ear::Begins);
            return None;
        }
        // Since when it is so is known from before, perhaps by an earlier process: who says it may have begun only now.
        let evidence = evidence.map(|said| match before.filter(|before| before.health == said.health) {
            Some(before) => Evidence { since_ms: before.since_ms, ..said },
            None => said,
        });
        if witness.vantage == Vantage::Instance {
            self.set_ear(origin, endpoint, Source::Here);
        }
        self.say(origin, endpoint, witness, evidence, true, now)
    }

    /// Takes in what an endpoint's beats come to, and what each check on its machine says: all of them, `None` if it says nothing
    /// of them. The change that follows, if one does.
    pub fn beat(
        &mut self,
        origin: &Arc<Origin>,
        endpoint: &Name,
        evidence: Evidence,
        machine: Option<&[Judged]>,
        now: Now,
    ) -> Option<Change> {
        let before = self.in_force(origin, endpoint);
        let is_news = machine.is_some_and(|said| self.on_machine(origin, endpoint, said));
        let change = self.evidence(origin, endpoint, beat::witness(), Some(evidence), now);
        if is_news { self.change(origin, endpoint, before.as_ref()) } else { change }
    }

    /// What the checks on an endpoint's machine say now; whether that is news.
    fn on_machine(&mut self, origin: &Arc<Origin>, endpoint: &Name, said: &[Judged]) -> bool {
        let Some(planned) = self.registrations.get(origin).and_then(|of| of.endpoints.get(endpoint)) else {
            return false;
        };
        self.ledger.open(origin, endpoint, planned.addresses);
        let Some(subject) = self.subject(origin, endpoint) else { return false };
        let is_gone = |witness: &&Witness| {
            witness.vantage == Vantage::Machine && said.iter().all(|said| said.name != witness.name)
        };
        let mut news: Vec<_> =
            subject.evidence.keys().filter(is_gone).map(|witness| (Witness::clone(witness), None)).collect();
        for Judged { name, evidence } in said {
            let witness = machine::witness(name);
            let now = match subject.evidence.get(&witness) {
                // An agent that begins anew has not run it yet. What it said before stands until it has.
                Some(before) if evidence.health == Health::Unknown && before.health != Health::Unknown => continue,
                // Since when it is so is known from before, perhaps by an earlier process.
                Some(before) if before.health == evidence.health => {
                    Evidence { since_ms: before.since_ms, ..evidence.clone() }
                }
                Some(_) | None => evidence.clone(),
            };
            if subject.evidence.get(&witness) != Some(&now) {
                news.push((witness, Some(now)));
            }
        }
        let is_news = !news.is_empty();
        for (witness, evidence) in news {
            self.ledger.put(origin, endpoint, witness, evidence);
        }
        is_news
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
                .or_insert_with(|| Subject { addresses: planned.addresses, evidence: Few::new() });
            subject.evidence.insert_if_absent(beat::witness(), || begin::begin_beat(&known, now));
            // What failed on the machine before a restart does so until its agent says otherwise.
            let verdict = known.restored.map(|restored| &restored.verdict);
            let checks =
                verdict.into_iter().flat_map(|verdict| verdict.checks.iter().map(move |check| (verdict, check)));
            for (verdict, check) in checks.filter(|(_, said)| said.on_machine && said.health != Health::Unknown) {
                let reason = Name::clone(begin::whole(verdict, check));
                let evidence = Evidence { health: check.health, since_ms: check.since_ms, reason };
                subject.evidence.insert_if_absent(machine::witness(&check.name), || evidence);
            }
        }
    }

    /// What was said so of endpoints that are still where they were.
    pub(super) fn kept(&self, origin: &Arc<Origin>, endpoints: &Endpoints) -> BTreeMap<Name, Subject> {
        let same = |(name, subject): (&Name, &Subject)| {
            endpoints.get(name).filter(|planned| planned.addresses == subject.addresses)?;
            let stays = |witness: &Witness| !matches!(witness.vantage, Vantage::Address(_) | Vantage::Peer(_));
            let said = subject.evidence.iter().filter(|(witness, _)| stays(witness));
            let evidence: Few<_, _> = said.map(|(witness, said)| (witness.clone(), said.clone())).collect();
            let subject = Subject { addresses: subject.addresses, evidence };
            (!subject.evidence.is_empty()).then(|| (Name::clone(name), subject))
        };
        self.ledger.subjects(origin).into_iter().flatten().filter_map(same).collect()
    }
}
