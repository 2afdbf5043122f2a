//! What replicas publish, and how it travels: the newest of each name, late, and not at all over a link that is cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::Name;
use rollcall_health::beat::hearsay::Overheard;
use rollcall_health::checks::Ask;
use rollcall_health::confirmation::Testimony;
use rollcall_health::ledger::Subject;
use rollcall_health::membership::Presence;

/// What a resource is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Presence,
    Verdicts(Arc<Origin>),
    Doubt(u64),
    Testimony(Name, u64),
    Beats(u8),
}

/// What it says.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Presence(Presence),
    Verdicts(BTreeMap<Name, Subject>),
    Doubt(Ask),
    Testimony(Testimony),
    Beats(Vec<Overheard>),
}

/// What one replica publishes: the last of each name with its version; `None` was removed.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) all: BTreeMap<Key, (u64, Option<Value>)>,
    pub(crate) version: u64,
}

/// What one replica has of another.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) seen: BTreeMap<Key, u64>,
    pub(crate) cut: bool,
    /// It has had all that was said before it was opened.
    pub(crate) whole: bool,
    /// The process at the other end that it was last connected to.
    pub(crate) incarnation: u64,
}

impl Published {
    /// The version, if it is news.
    pub(crate) fn publish(&mut self, key: Key, value: Option<Value>) -> u64 {
        self.version += 1;
        self.all.insert(key, (self.version, value));
        self.version
    }
}
