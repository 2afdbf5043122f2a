//! Who is no replica (an agent, a DNS server) is asked by the replicas that it is connected to: for themselves, and for each other.
//!
//! What they are asked to dial passes the same admission as what is probed here. A replica that is not connected to somebody says
//! so at once, so that nobody is waited for who is away.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use super::outbox::Ask;
use super::{Admission, Candidate, Checks, Relay, TargetId};
use crate::confirmation::{OTHERS_MAX, Vote};
use crate::definition::Target;
use crate::ledger::{Evidence, Vantage, Witness};

/// Whoever is being asked, for which question of whom.
#[derive(Debug, Default)]
pub(super) struct Relays {
    open: HashMap<TargetId, Asking>,
    by_question: HashMap<(Name, u64), BTreeSet<TargetId>>,
    /// Those that the driver has not been told of.
    waiting: VecDeque<TargetId>,
}

#[derive(Debug)]
struct Asking {
    question: (Name, u64),
    who: Name,
    origin: Arc<Origin>,
    target: Target,
}

/// Asked at a time. Who would be asked beyond it abstains.
const OPEN_MAX: usize = 4_096;

// === impl Relays ===

impl Relays {
    /// What somebody is asked about.
    pub(super) fn target(&self, id: TargetId) -> Option<(&Arc<Origin>, &Target)> {
        self.open.get(&id).map(|asking| (&asking.origin, &asking.target))
    }

    /// A question is decided, or of one who is gone: nobody waits for answers any more.
    pub(super) fn withdraw(&mut self, question: &(Name, u64)) {
        let ids = self.by_question.remove(question).unwrap_or_default();
        ids.iter().for_each(|id| _ = self.open.remove(id));
    }

    fn end(&mut self, id: TargetId) -> Option<Asking> {
        let asking = self.open.remove(&id)?;
        if let Some(ids) = self.by_question.get_mut(&asking.question) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_question.remove(&asking.question);
            }
        }
        Some(asking)
    }
}

// === impl Checks ===

impl Checks {
    /// Others that are asked before an endpoint of a registration turns Critical, by the policy in force: so many replicas, and
    /// these, who are none, by names with a slash.
    pub fn ask_others(&mut self, origin: &Arc<Origin>, others: u8, further: &Arc<[Name]>) {
        if let Some(registration) = self.registrations.get_mut(origin) {
            registration.others = others.min(OTHERS_MAX);
            if registration.further != *further {
                registration.further = Arc::clone(further);
            }
        }
    }

    /// What came of asking somebody. What nobody waits for any more is dropped.
    pub fn relayed(&mut self, id: TargetId, vote: Vote, now: Now) {
        let Some(Asking { question, who, .. }) = self.relays.end(id) else { return };
        if question.0 == self.me {
            self.answered_here(question.1, &who, vote, now);
        } else {
            self.summons.say(question, &mut self.outbox, |said| _ = said.relayed.insert(who, vote));
        }
    }

    /// Has those asked who are named in a question and are no replicas.
    pub(super) fn relay_for(&mut self, question: &(Name, u64), ask: &Ask) {
        if self.relays.by_question.contains_key(question) || !ask.asked.iter().any(|who| who.contains('/')) {
            return;
        }
        let ids = self.targets_of(&ask.origin, &ask.endpoint);
        let targets = ids.iter().filter_map(|id| self.targets.get(id)).map(|scheduled| &scheduled.target);
        let target = { targets }.find(|of| of.check.name == ask.check && of.address == ask.address).cloned();
        for who in ask.asked.iter().filter(|who| who.contains('/')) {
            match target.clone().filter(|_| self.relays.open.len() < OPEN_MAX) {
                Some(target) => {
                    let (id, origin) = (self.fresh_id(), Arc::clone(&ask.origin));
                    let asking = Asking { question: question.clone(), who: Name::clone(who), origin, target };
                    self.relays.open.insert(id, asking);
                    self.relays.by_question.entry(question.clone()).or_default().insert(id);
                    self.relays.waiting.push_back(id);
                }
                // Of one's own question the target is known; too many are open: the deadline decides.
                None if question.0 == self.me => {}
                None => self.summons.say(question.clone(), &mut self.outbox, |said| {
                    said.relayed.insert(Name::clone(who), Vote::Abstained);
                }),
            }
        }
    }

    /// The next one to ask.
    pub(super) fn next_relay(&mut self, admit: &mut dyn FnMut(Candidate<'_>) -> Admission, now: Now) -> Option<Relay> {
        while let Some(id) = self.relays.waiting.pop_front() {
            match self.admission(id, admit) {
                Some(Admission::Admitted) => {
                    let Asking { who, origin, target, .. } = self.relays.open.get(&id)?;
                    let (who, target, origin) = (Name::clone(who), target.clone(), Arc::clone(origin));
                    return Some(Relay { id, who, target, origin });
                }
                Some(Admission::Withheld | Admission::Awaited) | None => self.relayed(id, Vote::Abstained, now),
            }
        }
        None
    }

    /// Keeps, for people, what those said who were asked about a target.
    pub(super) fn note_answers(&mut self, id: TargetId, now: Now) {
        self.forget_answers(id);
        let Some(scheduled) = self.targets.get(&id) else { return };
        let (origin, target) = (Arc::clone(&scheduled.origin), &scheduled.target);
        let (endpoint, check) = (Name::clone(&target.endpoint), Name::clone(&target.check.name));
        for (who, vote) in self.answers(id) {
            let (health, reason) = match vote {
                Some(Vote::Reached) => (Health::Passing, "reached it when it was asked"),
                Some(Vote::Failed) => (Health::Critical, "did not reach it either when it was asked"),
                Some(Vote::Abstained) => (Health::Unknown, "could not find out when it was asked"),
                None => (Health::Unknown, "had not answered by when it was decided"),
            };
            let witness = Witness { name: Name::clone(&check), vantage: Vantage::Peer(who) };
            let evidence = Evidence { health, since_ms: now.wall_ms, reason: reason.into() };
            self.ledger.put(&origin, &endpoint, witness, Some(evidence));
        }
        if self.covers(&origin, &endpoint) {
            self.outbox.verdicts(&origin);
        }
    }

    /// What they said is over.
    pub(super) fn forget_answers(&mut self, id: TargetId) {
        let Some(scheduled) = self.targets.get(&id) else { return };
        let (origin, target) = (Arc::clone(&scheduled.origin), &scheduled.target);
        let (endpoint, check) = (Name::clone(&target.endpoint), Name::clone(&target.check.name));
        let Some(subject) = self.subject(&origin, &endpoint) else { return };
        let is_theirs = |witness: &&Witness| witness.name == check && matches!(witness.vantage, Vantage::Peer(_));
        let old: Vec<_> = subject.evidence.keys().filter(is_theirs).cloned().collect();
        old.into_iter().for_each(|witness| _ = self.ledger.put(&origin, &endpoint, witness, None));
    }
}
