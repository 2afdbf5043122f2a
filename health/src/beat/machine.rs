//! What checks on an instance's machine say, as its agent tells it with its beats: each by itself, beside the heartbeat.

use std::sync::Arc;

use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use crate::ledger::{Evidence, Vantage, Witness};

/// What one check on the machine says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnMachine {
    /// The check, by its name at the agent.
    pub name: Name,
    /// Passing, Warning, Critical; or Unknown, as long as it has not been run.
    pub health: Health,
    /// What it saw, in plain words: [`super::NOTE_MAX`] bytes at most.
    pub saw: Name,
}

/// The same, for the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The check.
    pub name: Name,
    /// What it says.
    pub evidence: Evidence,
}

/// Who says what a check on the machine found.
pub fn witness(name: &Name) -> Witness {
    Witness { name: Name::clone(name), vantage: Vantage::Machine }
}

/// What is said now, given what was said before: what is as it was, is so since then. `None` if all is as before.
pub(super) fn said(before: Option<&Arc<[Judged]>>, now_said: &[OnMachine], now: Now) -> Option<Arc<[Judged]>> {
    let old = before.map_or(&[][..], |before| before);
    let same = |(old, said): (&Judged, &OnMachine)| {
        old.name == said.name && old.evidence.health == said.health && old.evidence.reason == said.saw
    };
    if before.is_some() && old.len() == now_said.len() && old.iter().zip(now_said).all(same) {
        return None;
    }
    let judged = |said: &OnMachine| {
        let known = old.iter().find(|old| old.name == said.name && old.evidence.health == said.health);
        let since_ms = known.map_or(now.wall_ms, |known| known.evidence.since_ms);
        let evidence = Evidence { health: said.health, since_ms, reason: Name::clone(&said.saw) };
        Judged { name: Name::clone(&said.name), evidence }
    };
    Some(now_said.iter().map(judged).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, health: Health, saw: &str) -> OnMachine {
        OnMachine { name: name.into(), health, saw: saw.into() }
    }

    fn at(seconds: i64) -> Now {
        Now { mono_ms: 0, wall_ms: seconds * 1000 }
    }

    #[test]
    fn each_check_has_its_own_time_and_the_same_again_is_no_news() {
        let both = |disk, saw| [check("disk", disk, saw), check("queue", Health::Passing, "empty")];
        let first = said(None, &both(Health::Passing, "40 %"), at(1)).expect("news");
        assert_eq!(said(Some(&first), &both(Health::Passing, "40 %"), at(2)), None);
        let full = said(Some(&first), &both(Health::Critical, "97 %"), at(3)).expect("news");
        let since = |judged: &Arc<[Judged]>| judged.iter().map(|one| one.evidence.since_ms).collect::<Vec<_>>();
        assert_eq!((since(&first), since(&full)), (vec![1000, 1000], vec![3000, 1000]));
        let other_words = said(Some(&full), &both(Health::Critical, "98 %"), at(4)).expect("news");
        assert_eq!((since(&other_words), &*other_words[0].evidence.reason), (vec![3000, 1000], "98 %"));
        // One that has no checks any more says so once.
        let none = said(Some(&full), &[], at(5)).expect("news");
        assert_eq!((none.len(), said(Some(&none), &[], at(6))), (0, None));
    }
}
