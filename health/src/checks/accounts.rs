//! Who says what of the endpoints of a registration, for people.

use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::Name;

use super::Checks;
use crate::ledger::{Evidence, Subject, Witness};

/// Who says what of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name within the registration.
    pub endpoint: Name,
    /// The replica whose word counts: this one, or the peer that probes it. Empty in a process that has no peers.
    pub judge: Name,
    /// What each witness of that replica says, by check and vantage point.
    pub said: Vec<(Witness, Evidence)>,
}

// === impl Checks ===

impl Checks {
    /// Who says what of each endpoint of a registration that anybody judges.
    pub fn accounts(&self, origin: &Arc<Origin>) -> Vec<Account> {
        let names = self.registrations.get(origin).into_iter().flat_map(|registration| registration.posts.names());
        let account = |endpoint: &Name| {
            let (judge, subject) = match &self.post(origin, endpoint)?.voice {
                Some(peer) => (peer, self.words.of(peer, origin, endpoint)),
                None => (&self.me, self.subject(origin, endpoint)),
            };
            let said = |subject: &Subject| {
                subject.evidence.iter().map(|(witness, evidence)| (witness.clone(), evidence.clone())).collect()
            };
            Some(Account { endpoint: Name::clone(endpoint), judge: Name::clone(judge), said: said(subject?) })
        };
        names.filter_map(account).collect()
    }
}
