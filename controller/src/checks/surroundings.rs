//! What probes need of the controller: Secrets, and the catalog's view of other services.

use rollcall_health::Outcome;
use rollcall_health::definition::{Alias, SecretKey};
use rollcall_health::outcome::LocalFault;
use rollcall_health::probe::{self, Answer};

use super::aliases;
use super::secrets::Secrets;
use crate::writer::Snapshots;

/// What probes need of the controller.
pub(super) struct Surroundings {
    pub(super) secrets: Secrets,
    pub(super) snapshots: Snapshots,
}

// === impl Surroundings ===

impl probe::Surroundings for Surroundings {
    fn secret<'a>(&'a self, key: &'a SecretKey) -> Answer<'a> {
        Box::pin(self.secrets.get(key))
    }

    fn alias(&self, alias: &Alias) -> Outcome {
        let snapshot = self.snapshots.borrow().clone();
        match snapshot {
            Some(snapshot) => aliases::look(snapshot.get(&alias.service).map(|service| &**service), alias),
            None => Outcome::LocalFault(LocalFault::Stalled, "is not known before the catalog is".into()),
        }
    }
}
