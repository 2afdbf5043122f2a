//! Others ask whether this replica reaches a target.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::Name;

use super::outbox::{Ask, Outbox, Telling};
use super::{Checks, TargetId};
use crate::confirmation::{Testimony, Vote};
use crate::definition::Target;
use crate::outcome::Outcome;
use crate::owner;
use crate::shares::Lane;

/// Questions that are being answered.
#[derive(Debug, Default)]
pub(super) struct Summons {
    open: HashMap<TargetId, Summoned>,
    by_question: HashMap<(Name, u64), TargetId>,
    /// Who asks about what, until the question is withdrawn: then it has decided.
    asking: HashMap<Questioned, BTreeSet<(Name, u64)>>,
    asked: HashMap<(Name, u64), Questioned>,
    /// What has been answered so far to each question.
    said: HashMap<(Name, u64), Testimony>,
    answered: u64,
}

/// What a question is about: the registration, its endpoint, the check and the address.
type Questioned = (Arc<Origin>, Name, Name, SocketAddr);

#[derive(Debug)]
struct Summoned {
    question: (Name, u64),
    origin: Arc<Origin>,
    target: Target,
}

/// Questions of others that are remembered at a time: as many as three of them may have open.
const ASKING_MAX: usize = 3 * 4_096;
/// Answered at a time: each holds a place among the probes. Who asks for more is told that it could not be found out.
const OPEN_MAX: usize = 1_024;

// === impl Summons ===

impl Summons {
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// What is to be probed for one.
    pub(super) fn target(&self, id: TargetId) -> Option<(&Arc<Origin>, &Target)> {
        self.open.get(&id).map(|summoned| (&summoned.origin, &summoned.target))
    }

    /// It may not be dialled, or nothing is known of it here.
    pub(super) fn cannot_tell(&mut self, id: TargetId, outbox: &mut Outbox) {
        self.answer(id, Vote::Abstained, outbox);
    }

    /// What came of the probe. Who suspects itself says nothing against others.
    pub(super) fn found(&mut self, id: TargetId, outcome: &Outcome, suspects: bool, outbox: &mut Outbox) {
        let vote = match outcome {
            Outcome::Success(_) | Outcome::Warning(_) => Vote::Reached,
            Outcome::Failure(_) if !suspects => Vote::Failed,
            Outcome::Failure(_) | Outcome::LocalFault(..) => Vote::Abstained,
        };
        self.answer(id, vote, outbox);
    }

    /// A peer asks this, or does so no longer.
    fn note(&mut self, question: &(Name, u64), ask: Option<&Ask>) {
        if let Some(about) = self.asked.remove(question)
            && let Some(peers) = self.asking.get_mut(&about)
        {
            peers.remove(question);
            if peers.is_empty() {
                self.asking.remove(&about);
            }
        }
        if let Some(ask) = ask.filter(|_| self.asked.len() < ASKING_MAX) {
            let about = (Arc::clone(&ask.origin), Name::clone(&ask.endpoint), Name::clone(&ask.check), ask.address);
            self.asking.entry(about.clone()).or_default().insert(question.clone());
            self.asked.insert(question.clone(), about);
        }
    }

    fn answer(&mut self, id: TargetId, vote: Vote, outbox: &mut Outbox) {
        let Some(Summoned { question, .. }) = self.open.remove(&id) else { return };
        // A question that was withdrawn meanwhile has no entry here, and is not answered.
        if self.by_question.remove(&question).is_some() {
            self.answered += 1;
            self.say(question, outbox, |said| said.own = Some(vote));
        }
    }

    /// Says more to a question.
    pub(super) fn say(&mut self, question: (Name, u64), outbox: &mut Outbox, more: impl FnOnce(&mut Testimony)) {
        let said = self.said.entry(question.clone()).or_default();
        more(said);
        outbox.tell(Telling::Testimony(question.0, question.1, Some(said.clone())));
    }
}

// === impl Checks ===

impl Checks {
    /// A peer asks the question of that number, `None` when it does so no longer.
    pub fn asked(&mut self, from: &Name, number: u64, ask: Option<Ask>) {
        let question = (Name::clone(from), number);
        self.summons.note(&question, ask.as_ref());
        let Some(ask) = ask else {
            self.summons.by_question.remove(&question);
            self.relays.withdraw(&question);
            if self.summons.said.remove(&question).is_some() {
                self.outbox.tell(Telling::Testimony(question.0, question.1, None));
            }
            return;
        };
        self.relay_for(&question, &ask);
        if !ask.asked.contains(&self.me) || self.summons.by_question.contains_key(&question) {
            return;
        }
        let ids = self.targets_of(&ask.origin, &ask.endpoint);
        let targets = ids.iter().filter_map(|id| self.targets.get(id)).map(|scheduled| &scheduled.target);
        let target =
            { targets }.find(|target| target.check.name == ask.check && target.address == ask.address).cloned();
        let Some(target) = target.filter(|_| self.summons.open.len() < OPEN_MAX) else {
            self.summons.say(question, &mut self.outbox, |said| said.own = Some(Vote::Abstained));
            return;
        };
        let id = self.fresh_id();
        self.shares.wait(&ask.origin, Lane::Doubtful, id);
        self.summons.by_question.insert(question.clone(), id);
        self.summons.open.insert(id, Summoned { question, origin: ask.origin, target });
    }

    /// Whether a peer is about to decide the same that ranks before this replica, whoever owns it: of several that are at an
    /// endpoint while it changes hands one decides, and tells the others.
    pub(super) fn yields(&self, id: TargetId) -> bool {
        let Some(scheduled) = self.targets.get(&id).filter(|_| !self.summons.asking.is_empty()) else { return false };
        let (origin, target) = (&scheduled.origin, &scheduled.target);
        let about =
            (Arc::clone(origin), Name::clone(&target.endpoint), Name::clone(&target.check.name), target.address);
        let work = owner::work(origin, &target.endpoint);
        let before = |peer: &Name| owner::owner(&work, [&*self.me, &**peer]) == Some(&**peer);
        let peers = self.summons.asking.get(&about).into_iter().flatten().map(|(peer, _)| peer);
        { peers }.any(|peer| self.standing.heard.contains(peer) && before(peer))
    }

    /// A peer is gone, and its questions with it.
    pub(super) fn asks_no_more(&mut self, peer: &Name) {
        let gone: Vec<_> = self.summons.asked.keys().filter(|(of, _)| of == peer).cloned().collect();
        for question in &gone {
            self.summons.note(question, None);
            self.summons.said.remove(question);
            self.relays.withdraw(question);
        }
    }
}
