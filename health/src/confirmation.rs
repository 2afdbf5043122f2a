//! Whether others see what this replica sees, before a passing endpoint turns Critical: SWIM's indirect probe (Das, Gupta and
//! Motivala, 2002).

use std::collections::{BTreeMap, BTreeSet};

use rollcall_catalog::model::Name;

/// A failure that others are asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Tells it from every other of this process.
    pub number: u64,
    /// Until when answers are waited for, in milliseconds of the monotonic clock.
    pub deadline_ms: u64,
    /// Another replica has answered, for itself or for somebody who could find out.
    pub has_contact: bool,
    /// Whom was asked, and what they answered.
    answers: BTreeMap<Name, Asked>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Asked {
    vote: Option<Vote>,
    /// Of one who is no replica: those that may be connected to it, and have not said that they cannot ask it.
    relays: BTreeSet<Name>,
}

/// What a replica answers: its own vote, and those of whom it has asked in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    /// `None` before it has found out, and of one that was not asked itself.
    pub own: Option<Vote>,
    /// By the names by which they were asked.
    pub relayed: BTreeMap<Name, Vote>,
}

/// What another replica found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// The endpoint is as it should be.
    Reached,
    /// It is not.
    Failed,
    /// It could not find out, or does not trust what it sees.
    Abstained,
}

/// Whether what this replica saw itself counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// It does.
    Counts,
    /// It suspects itself.
    Abstains,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Answers are waited for that may matter.
    Pending,
    /// More than half of those who found out see it, too.
    Convicted,
    /// They do not.
    Acquitted,
    /// Nobody found out anything that counts.
    Nobody,
}

/// Others that are asked unless a policy says another number.
pub const OTHERS: u8 = 3;
/// Others that can be asked at most.
pub const OTHERS_MAX: u8 = 3;
/// What asking and answering may take beside the probe itself, in milliseconds.
pub const MARGIN_MS: u64 = 500;

// === impl Testimony ===

impl Testimony {
    /// Whether it says more than that nobody else is there to be asked.
    pub fn is_answer(&self) -> bool {
        self.own.is_some() || self.relayed.values().any(|vote| *vote != Vote::Abstained)
    }
}

// === impl Doubt ===

impl Doubt {
    /// Asks these until `deadline_ms`.
    pub fn new(number: u64, asked: impl IntoIterator<Item = Name>, deadline_ms: u64) -> Self {
        Self {
            number,
            deadline_ms,
            has_contact: false,
            answers: asked.into_iter().map(|name| (name, Asked::default())).collect(),
        }
    }

    /// Asks these as well, who are no replicas, by any of `relays`.
    #[must_use]
    pub fn by_relays(mut self, asked: impl IntoIterator<Item = Name>, relays: &BTreeSet<Name>) -> Self {
        let asked = asked.into_iter().map(|name| (name, Asked { vote: None, relays: relays.clone() }));
        self.answers.extend(asked);
        self
    }

    /// Who was asked.
    pub fn asked(&self) -> impl Iterator<Item = &Name> {
        self.answers.keys()
    }

    /// Takes in an answer. What is not from one who was asked counts for nothing, and the first of each stands.
    pub fn answered(&mut self, from: &Name, vote: Vote) {
        if let Some(answer) = self.answers.get_mut(from) {
            answer.vote.get_or_insert(vote);
        }
    }

    /// Takes in what came of asking somebody by a relay. Who is not connected to any of them has abstained.
    pub fn relayed(&mut self, by: &Name, from: &Name, vote: Vote) {
        let Some(answer) = self.answers.get_mut(from) else { return };
        if !answer.relays.remove(by) {
            return;
        }
        if vote != Vote::Abstained || answer.relays.is_empty() {
            answer.vote.get_or_insert(vote);
        }
    }

    /// Who was asked, and what they answered by now.
    pub fn answers(&self) -> impl Iterator<Item = (&Name, Option<Vote>)> {
        self.answers.iter().map(|(name, answer)| (name, answer.vote))
    }

    /// Answers of this kind.
    pub fn count(&self, vote: Vote) -> usize {
        self.answers.values().filter(|answer| answer.vote == Some(vote)).count()
    }

    /// What follows at `now_ms`, this replica having failed itself. Critical needs more than half of the voices; half of them
    /// reach it, so it lives.
    pub fn decide(&self, own: Own, now_ms: u64) -> Decision {
        let failed = self.count(Vote::Failed) + usize::from(own == Own::Counts);
        let reached = self.count(Vote::Reached);
        let open = if now_ms >= self.deadline_ms {
            0
        } else {
            self.answers.values().filter(|asked| asked.vote.is_none()).count()
        };
        if failed > reached + open {
            return Decision::Convicted;
        }
        if reached > 0 && reached >= failed + open {
            return Decision::Acquitted;
        }
        if open > 0 { Decision::Pending } else { Decision::Nobody }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (&'a [(&'a str, Vote)], Own, u64, Decision);

    fn doubt(asked: &[&str]) -> Doubt {
        Doubt::new(1, asked.iter().map(|name| Name::from(*name)), 1_000)
    }

    fn decide(votes: &[(&str, Vote)], own: Own, now_ms: u64) -> Decision {
        let mut doubt = doubt(&["b", "c"]);
        votes.iter().for_each(|(from, vote)| doubt.answered(&Name::from(*from), *vote));
        doubt.decide(own, now_ms)
    }

    #[test]
    fn a_majority_decides_as_soon_as_nothing_can_change_it() {
        use Vote::{Abstained, Failed, Reached};
        let cases: [Case<'_>; 13] = [
            (&[], Own::Counts, 0, Decision::Pending),
            (&[("b", Failed)], Own::Counts, 0, Decision::Convicted),
            (&[("b", Reached)], Own::Counts, 0, Decision::Pending),
            (&[("b", Reached)], Own::Counts, 1_000, Decision::Acquitted),
            (&[("b", Reached), ("c", Reached)], Own::Counts, 0, Decision::Acquitted),
            (&[("b", Reached), ("c", Failed)], Own::Counts, 0, Decision::Convicted),
            (&[("b", Abstained), ("c", Abstained)], Own::Counts, 0, Decision::Convicted),
            (&[], Own::Counts, 1_000, Decision::Convicted),
            (&[("b", Failed)], Own::Abstains, 0, Decision::Pending),
            (&[("b", Failed)], Own::Abstains, 1_000, Decision::Convicted),
            (&[("b", Failed), ("c", Reached)], Own::Abstains, 0, Decision::Acquitted),
            (&[], Own::Abstains, 1_000, Decision::Nobody),
            (&[("x", Reached), ("b", Failed), ("b", Reached)], Own::Counts, 0, Decision::Convicted),
        ];
        for (votes, own, now_ms, expected) in cases {
            assert_eq!(decide(votes, own, now_ms), expected, "{votes:?}, own {own:?}, at {now_ms}");
        }
    }

    #[test]
    fn who_is_no_replica_counts_by_whichever_is_connected_to_it_and_not_if_none_is() {
        let relays = ["a", "b"].map(Name::from).into();
        let mut asked = doubt(&[]).by_relays(["agent/vm-1", "dns/node-1"].map(Name::from), &relays);
        let mut say = |by: &str, from: &str, vote| {
            asked.relayed(&by.into(), &from.into(), vote);
            asked.decide(Own::Counts, 0)
        };
        assert_eq!(say("a", "agent/vm-1", Vote::Abstained), Decision::Pending, "b may be connected to it");
        assert_eq!(say("x", "agent/vm-1", Vote::Reached), Decision::Pending, "no relay of this question");
        assert_eq!(say("a", "agent/vm-1", Vote::Reached), Decision::Pending, "one answer of each relay");
        assert_eq!(say("b", "agent/vm-1", Vote::Reached), Decision::Pending, "one to one, and another is open");
        assert_eq!(say("a", "dns/node-1", Vote::Abstained), Decision::Pending);
        assert_eq!(
            say("b", "dns/node-1", Vote::Abstained),
            Decision::Acquitted,
            "half of those who found out reach it"
        );
        let mut away = doubt(&[]).by_relays(["agent/vm-1".into()], &relays);
        { ["a", "b"] }.iter().for_each(|by| away.relayed(&Name::from(*by), &"agent/vm-1".into(), Vote::Abstained));
        assert_eq!(away.decide(Own::Counts, 0), Decision::Convicted, "who is away is not waited for");
    }

    #[test]
    fn nobody_to_ask_leaves_it_to_oneself() {
        assert_eq!(doubt(&[]).decide(Own::Counts, 0), Decision::Convicted);
        assert_eq!(doubt(&[]).decide(Own::Abstains, 0), Decision::Nobody);
    }
}
