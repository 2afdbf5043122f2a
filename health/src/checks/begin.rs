//! From what a target's first probe starts: from what is known, so that nobody loses an endpoint that he has.

use rollcall_catalog::input::{CheckVerdict, Verdict};
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use crate::beat::{self, instance};
use crate::definition::Check;
use crate::ledger::Evidence;
use crate::plan::{Planned, Restored};
use crate::state::CheckState;

/// What is known of an endpoint, at the address of a target, before the target is probed.
pub(super) struct Known<'a> {
    /// By an earlier process.
    pub restored: Option<&'a Restored>,
    /// By the plan before this one, if it had the endpoint at this address.
    pub planned: Option<&'a Planned>,
    /// The verdict that was in force.
    pub verdict: Option<Verdict>,
    /// The state of the check that had this name at this address, and another definition.
    pub same_name: Option<&'a CheckState>,
}

/// When the first probe is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At once: it is new, or was changed.
    Now,
    /// Within a retry interval, spread by phase.
    Soon,
    /// At its phase, so that a restart makes no storm.
    Phase,
}

pub(super) fn begin(check: &Check, known: &Known<'_>, now: Now) -> (CheckState, When) {
    known_of(&check.name, known, now).unwrap_or_else(|| (CheckState::initial(check.initial, now), When::Now))
}

/// The same for what an endpoint says itself.
pub(super) fn begin_beat(known: &Known<'_>, now: Now) -> Evidence {
    known_of(beat::NAME, known, now).map_or_else(|| instance::unheard(now.wall_ms), |(state, _)| state.evidence())
}

fn known_of(name: &str, known: &Known<'_>, now: Now) -> Option<(CheckState, When)> {
    match (known.restored, known.planned) {
        (Some(restored), _) => restore(name, restored),
        (None, Some(planned)) => take_over(known, planned, now).map(|state| (state, When::Now)),
        // Unseen, or at another address: another machine, which has to prove itself.
        (None, None) => None,
    }
}

/// What a status keeps of a check's words is cut; whole they are told of the endpoint, if they decided.
pub(super) fn whole<'a>(verdict: &'a Verdict, said: &'a CheckVerdict) -> &'a Name {
    let decided = said.health == verdict.health && verdict.reason.starts_with(&*said.reason);
    if decided { &verdict.reason } else { &said.reason }
}

fn restore(name: &str, Restored { verdict, current }: &Restored) -> Option<(CheckState, When)> {
    let when = |health: Health| match (current, health.is_callable()) {
        (false, _) => When::Now,
        (true, true) => When::Phase,
        (true, false) => When::Soon,
    };
    let inherited = |health, since_ms, reason: &Name| CheckState::inherited(health, since_ms, Name::clone(reason));
    match verdict.checks.iter().find(|said| *said.name == *name) {
        Some(said) if said.health == Health::Unknown => None,
        Some(said) => Some((inherited(said.health, said.since_ms, whole(verdict, said)), when(said.health))),
        // New since then: it starts from what callers have.
        None if verdict.health.is_callable() && !verdict.checks.is_empty() => {
            Some((inherited(verdict.health, verdict.since_ms, &verdict.reason), When::Now))
        }
        None if verdict.health == Health::Unknown || !verdict.checks.is_empty() => None,
        // Of a version that kept no checks.
        None => Some((inherited(verdict.health, verdict.since_ms, &verdict.reason), when(verdict.health))),
    }
}

/// What of a plan before this one goes on.
pub(super) fn take_over(known: &Known<'_>, planned: &Planned, now: Now) -> Option<CheckState> {
    if let Some(verdict) = known.verdict.as_ref().filter(|verdict| verdict.health.is_callable()) {
        return Some(CheckState::inherited(verdict.health, verdict.since_ms, Name::clone(&verdict.reason)));
    }
    if planned.unchecked {
        return Some(CheckState::inherited(Health::Passing, now.wall_ms, "registered without checks until now".into()));
    }
    let before = known.same_name.filter(|state| state.health() != Health::Unknown)?.evidence();
    Some(CheckState::inherited(before.health, before.since_ms, before.reason))
}
