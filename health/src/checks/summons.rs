//! Others ask whether this replica reaches a target.

use std::collections::HashMap;
use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::Name;

use super::outbox::{Ask, Outbox, Telling};
use super::{Checks, TargetId};
use crate::confirmation::Vote;
use crate::definition::Target;
use crate::outcome::Outcome;
use crate::shares::Lane;

/// Questions that are being answered.
#[derive(Debug, Default)]
pub(super) struct Summons {
    open: HashMap<TargetId, Summoned>,
    by_question: HashMap<(Name, u64), TargetId>,
    answered: u64,
}

#[derive(Debug)]
struct Summoned {
    question: (Name, u64),
    origin: Arc<Origin>,
    target: Target,
}

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

    fn answer(&mut self, id: TargetId, vote: Vote, outbox: &mut Outbox) {
        let Some(Summoned { question, .. }) = self.open.remove(&id) else { return };
        // A question that was withdrawn meanwhile has no entry here, and is not answered.
        if self.by_question.remove(&question).is_some() {
            self.answered += 1;
            outbox.tell(Telling::Testimony(question.0, question.1, Some(vote)));
        }
    }
}

// === impl Checks ===

impl Checks {
    /// A peer asks the question of that number, `None` when it does so no longer.
    pub fn asked(&mut self, from: &Name, number: u64, ask: Option<Ask>) {
        let question = (Name::clone(from), number);
        let Some(ask) = ask else {
            self.summons.by_question.remove(&question);
            self.outbox.tell(Telling::Testimony(question.0, question.1, None));
            return;
        };
        if !ask.asked.contains(&self.me) || self.summons.by_question.contains_key(&question) {
            return;
        }
        let ids = self.targets_of(&ask.origin, &ask.endpoint);
        let targets = ids.iter().filter_map(|id| self.targets.get(id)).map(|scheduled| &scheduled.target);
        let target =
            { targets }.find(|target| target.check.name == ask.check && target.address == ask.address).cloned();
        let Some(target) = target.filter(|_| self.summons.open.len() < OPEN_MAX) else {
            self.outbox.tell(Telling::Testimony(question.0, question.1, Some(Vote::Abstained)));
            return;
        };
        let id = self.fresh_id();
        self.shares.wait(&ask.origin, Lane::Doubtful, id);
        self.summons.by_question.insert(question.clone(), id);
        self.summons.open.insert(id, Summoned { question, origin: ask.origin, target });
    }
}
