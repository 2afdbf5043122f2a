//! What is to be told to peers.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::Name;

use super::Checks;
use crate::confirmation::Testimony;
use crate::ledger::Subject;

/// One thing to tell every peer. It replaces what was told of the same before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Telling {
    /// What [`Checks::said`] says of this registration now.
    Verdicts(Arc<Origin>),
    /// Whom this replica asks, by the number of the question; `None` when it is decided.
    Doubt(u64, Option<Ask>),
    /// What it answers to the question of that number of a peer; `None` when that is decided.
    Testimony(Name, u64, Option<Testimony>),
}

/// A question to others: whether they reach this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The registration.
    pub origin: Arc<Origin>,
    /// Its endpoint.
    pub endpoint: Name,
    /// The check, by its name.
    pub check: Name,
    /// Where.
    pub address: SocketAddr,
    /// Who is asked: replicas, and those who are none, by names with a slash.
    pub asked: Vec<Name>,
}

/// What has not been taken yet: of each registration that it changed, and questions and answers in their order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    verdicts: BTreeSet<Arc<Origin>>,
    rest: VecDeque<Telling>,
}

// === impl Outbox ===

impl Outbox {
    pub(super) fn verdicts(&mut self, origin: &Arc<Origin>) {
        if !self.verdicts.contains(origin) {
            self.verdicts.insert(Arc::clone(origin));
        }
    }

    pub(super) fn tell(&mut self, telling: Telling) {
        self.rest.push_back(telling);
    }
}

// === impl Checks ===

impl Checks {
    /// The next thing to tell peers. A process without peers tells nothing.
    pub fn take_telling(&mut self) -> Option<Telling> {
        if !self.has_peers() {
            self.outbox.verdicts.clear();
        }
        let verdicts = || self.outbox.verdicts.pop_first().map(Telling::Verdicts);
        self.outbox.rest.pop_front().or_else(verdicts)
    }

    /// What this replica says of the endpoints of a registration: of those that it covers.
    pub fn said(&self, origin: &Arc<Origin>) -> Vec<(&Name, &Subject)> {
        let Some((registration, subjects)) = self.registrations.get(origin).zip(self.ledger.subjects(origin)) else {
            return Vec::new();
        };
        let covered = registration.posts.iter().filter(|(_, post)| post.covers);
        covered.filter_map(|(name, _)| Some((name, subjects.get(name)?))).collect()
    }
}
