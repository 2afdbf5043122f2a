//! All checks of a process: what is due when, what is under way, what came of it.
//!
//! No task, socket or clock: a driver hands in plans, outcomes, what peers say and the time, starts what [`Checks::next`] says,
//! and passes on the changes and what [`Checks::take_telling`] has for peers.
//!
//! - [`plan`]: what is to be checked; [`turns`]: whose turn it is; [`results`]: what came of it; [`evidence`]: what others say
//! - [`stuck`]: no check can be run any more
//! - [`posts`]: who probes an endpoint and whose word counts; [`words`]: what peers say; [`recent`]: what was decided just now
//! - [`accounts`]: who says what, for people
//! - [`listening`]: who judges beats
//! - [`doubts`]: others are asked; [`summons`]: others ask; [`relays`]: who is no replica is asked for either
//! - [`outbox`]: what is to be told to peers

mod accounts;
mod alone;
mod begin;
mod doubts;
mod evidence;
pub mod listening;
mod outbox;
mod plan;
mod posts;
mod recent;
mod relays;
mod results;
pub mod step;
mod stuck;
mod summons;
#[cfg(test)]
mod tests;
mod turns;
mod words;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::Origin;
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

pub use self::accounts::Account;
use self::doubts::Doubts;
pub use self::listening::Listening;
use self::outbox::Outbox;
pub use self::outbox::{Ask, Telling};
use self::posts::{Posts, StepIn};
use self::recent::Recent;
use self::relays::Relays;
pub use self::step::{Admission, Candidate, Change, Course, Relay, Replaced, Start, Step, TargetId};
use self::summons::Summons;
use self::words::Words;
use crate::definition::Target;
use crate::ledger::{Ledger, Subject, Vantage, Witness};
use crate::membership::Standing;
use crate::plan::Endpoints;
use crate::shares::Shares;
use crate::state::CheckState;
use crate::suspicion::Suspicion;
use crate::timer::Timer;

/// All checks of a process.
#[derive(Debug)]
pub struct Checks {
    me: Name,
    standing: Standing,
    targets: HashMap<TargetId, Scheduled>,
    registrations: HashMap<Arc<Origin>, Registration>,
    /// What this process knows itself.
    ledger: Ledger,
    /// What its peers say.
    words: Words,
    timer: Timer<TargetId>,
    step_in: StepIn,
    recent: Recent,
    shares: Shares<TargetId>,
    /// Those that the catalog does not have yet.
    awaiting: BTreeSet<TargetId>,
    doubts: Doubts,
    summons: Summons,
    relays: Relays,
    suspicion: Suspicion<Arc<Origin>>,
    outbox: Outbox,
    /// What nobody has taken yet of what is done about beats.
    listening: VecDeque<Listening>,
    /// Changes that nobody has taken yet.
    changes: VecDeque<Change>,
    next_id: u64,
    /// When the first plan came.
    began_ms: Option<u64>,
    /// Targets that are not idle.
    own: usize,
}

#[derive(Debug)]
struct Scheduled {
    origin: Arc<Origin>,
    target: Target,
    phase: Duration,
    state: CheckState,
    stage: Stage,
    /// It has had a result, or may not have one, since this replica probes it.
    fresh: bool,
    /// It was found dead by this replica's word alone: see [`alone`].
    alone: bool,
    /// When it was due last, and when its last probe began.
    due_ms: u64,
    began_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Another replica probes it.
    Idle,
    /// In the timer.
    Due,
    /// Waits for its turn.
    Queued,
    Running,
    /// Until the catalog has it.
    Awaiting,
}

#[derive(Debug)]
struct Registration {
    service: ServiceKey,
    generation: Option<i64>,
    endpoints: Endpoints,
    targets: Vec<TargetId>,
    posts: Posts,
    /// Its endpoints are to beat.
    heartbeat: bool,
    /// Others that are asked before one of its endpoints turns Critical: so many replicas, and these, who are none.
    others: u8,
    further: Arc<[Name]>,
}

/// How often what was counted happened, since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Failures that others were asked about.
    pub asked: u64,
    /// Those that others saw as well, or nobody could tell.
    pub convicted: u64,
    /// Those that others did not see.
    pub acquitted: u64,
    /// Those that ended before it was decided, for the target passed again.
    pub dropped: u64,
    /// Answers to others.
    pub testified: u64,
}

// === impl Checks ===

impl Checks {
    /// No checks yet, of a process that has no peers; at most `probes_max` probes at a time.
    pub fn new(probes_max: usize) -> Self {
        Self::of(Name::from(""), probes_max)
    }

    /// No checks yet, of the replica `me`, which owns everything until it is told otherwise.
    pub fn of(me: Name, probes_max: usize) -> Self {
        Self {
            standing: Standing::alone(&me),
            me,
            targets: HashMap::new(),
            registrations: HashMap::new(),
            ledger: Ledger::default(),
            words: Words::default(),
            timer: Timer::default(),
            step_in: StepIn::default(),
            recent: Recent::default(),
            shares: Shares::new(probes_max),
            awaiting: BTreeSet::new(),
            doubts: Doubts::default(),
            summons: Summons::default(),
            relays: Relays::default(),
            suspicion: Suspicion::default(),
            outbox: Outbox::default(),
            listening: VecDeque::new(),
            changes: VecDeque::new(),
            next_id: 0,
            began_ms: None,
            own: 0,
        }
    }

    /// When something is due next, in milliseconds of the monotonic clock.
    pub fn next_ms(&self) -> Option<u64> {
        let waits = [
            self.timer.next_ms(),
            self.step_in.next_ms(),
            self.recent.next_ms(),
            self.doubts.next_ms(),
            self.suspicion.until_ms(),
        ];
        waits.into_iter().flatten().min()
    }

    /// The catalog has changed: what it did not have yet is looked at again.
    pub fn catalog_changed(&mut self, now: Now) {
        for id in std::mem::take(&mut self.awaiting) {
            self.due(id, now.mono_ms);
        }
    }

    /// Targets that are known, whoever probes them.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is nothing to check.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Targets that this replica probes again and again.
    pub fn own(&self) -> usize {
        self.own
    }

    /// Whether this replica probes an endpoint.
    pub fn is_at(&self, origin: &Arc<Origin>, endpoint: &Name) -> bool {
        self.probes(origin, endpoint)
    }

    /// The health of an endpoint as it counts here.
    pub fn health(&self, origin: &Arc<Origin>, endpoint: &Name) -> Health {
        health(self.in_force(origin, endpoint).as_ref())
    }

    /// Probes under way.
    pub fn running(&self) -> usize {
        self.shares.running()
    }

    /// Whether this replica suspects that what it sees is its own fault.
    pub fn suspects_itself(&self, now: Now) -> bool {
        self.suspicion.is_on(now.mono_ms)
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        Counts { testified: self.summons.answered(), ..self.doubts.counts() }
    }

    fn subject(&self, origin: &Arc<Origin>, endpoint: &Name) -> Option<&Subject> {
        self.ledger.subjects(origin)?.get(endpoint)
    }

    /// A number that no probe has had.
    fn fresh_id(&mut self) -> TargetId {
        let id = TargetId(self.next_id);
        self.next_id += 1;
        id
    }
}

// === impl Scheduled ===

impl Scheduled {
    fn witness(&self) -> Witness {
        Witness { name: Name::clone(&self.target.check.name), vantage: Vantage::Address(self.target.address) }
    }
}

/// The health of a verdict, for who compares.
fn health(verdict: Option<&rollcall_catalog::input::Verdict>) -> Health {
    verdict.map_or(Health::Unknown, |verdict| verdict.health)
}
