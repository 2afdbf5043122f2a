//! What others than our own probes say of an endpoint: its heartbeats, an agent on its machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::Name;

use super::{Change, Checks};
use crate::ledger::{Evidence, Subject, Vantage, Witness};
use crate::plan::Endpoints;

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
    ) -> Option<Change> {
        let planned = self.registrations.get(origin)?.endpoints.get(endpoint)?;
        if evidence.is_some() {
            self.ledger.open(origin, endpoint, planned.addresses);
        }
        self.tell(Arc::clone(origin), Name::clone(endpoint), witness, evidence)
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
