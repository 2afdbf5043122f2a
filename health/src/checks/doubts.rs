//! Others are asked before what callers have turns Critical.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rollcall_catalog::model::Name;
use rollcall_catalog::time::Now;

use super::outbox::{Ask, Telling};
use super::turns::millis_up;
use super::{Checks, Counts, TargetId};
use crate::confirmation::{Decision, Doubt, MARGIN_MS, Own, Testimony, Vote};
use crate::definition::Thresholds;
use crate::outcome::Outcome;
use crate::owner;
use crate::state::Next;

/// Failures that others are asked about, by target.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    open: HashMap<TargetId, (Doubt, Name)>,
    by_number: HashMap<u64, TargetId>,
    deadlines: BTreeSet<(u64, TargetId)>,
    counts: Counts,
    last: u64,
}

/// Open at a time: each is a resource on the exchange and a probe at each who is asked. Further failures are decided without
/// others as long as there are so many.
const OPEN_MAX: usize = 4_096;
/// As long as others are waited for, failures add up and decide nothing.
const UNDECIDED: u8 = u8::MAX;
/// Who may have peers finds them within this after its start, and has heard what they found. Until then it takes nothing from
/// callers by its own word: it may be what fails, and may begin from what is long out of date.
const ARRIVAL_MS: u64 = 2_000;
/// Who suspects itself and has nobody to ask needs so many times as many failures.
const ALONE_FACTOR: u16 = 2;

// === impl Doubts ===

impl Doubts {
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(at_ms, _)| *at_ms)
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    fn end(&mut self, id: TargetId) -> Option<Doubt> {
        let (doubt, _) = self.open.remove(&id)?;
        self.by_number.remove(&doubt.number);
        self.deadlines.remove(&(doubt.deadline_ms, id));
        Some(doubt)
    }
}

// === impl Checks ===

impl Checks {
    /// Takes an outcome into the state of its check, having asked others where it could take an endpoint from callers.
    pub(super) fn observe(&mut self, id: TargetId, outcome: &Outcome, now: Now) -> Option<Next> {
        let scheduled = self.targets.get_mut(&id)?;
        let (thresholds, origin) = (scheduled.target.check.thresholds, scheduled.origin.clone());
        let saw = match outcome {
            Outcome::Failure(saw) => saw,
            Outcome::Success(_) | Outcome::Warning(_) | Outcome::LocalFault(..) => {
                let was_callable = scheduled.state.health().is_callable();
                let next = scheduled.state.observe(outcome, thresholds, now);
                if !was_callable && scheduled.state.health().is_callable() {
                    self.forget_answers(id);
                }
                if !matches!(outcome, Outcome::LocalFault(..)) {
                    self.suspicion.passed(&origin, now.mono_ms);
                    if self.end_doubt(id) {
                        self.doubts.counts.dropped += 1;
                    }
                }
                return Some(next);
            }
        };
        let Some(left) = scheduled.state.left(thresholds) else {
            let next = scheduled.state.observe(outcome, thresholds, now);
            self.ask_who_is_back(id, saw, now);
            return Some(next);
        };
        self.suspicion.failed(&origin, now.mono_ms);
        if left <= 1 {
            self.doubt(id, saw, now);
        }
        let undecided = Thresholds { failures: UNDECIDED, ..thresholds };
        let thresholds = if left > 0 { thresholds } else { undecided };
        let next = self.targets.get_mut(&id)?.state.observe(outcome, thresholds, now);
        if left > 0 { Some(next) } else { Some(self.decide(id, saw, now).unwrap_or(next)) }
    }

    /// A peer answered the question of that number.
    pub fn testified(&mut self, from: &Name, number: u64, said: &Testimony, now: Now) {
        let Some(id) = self.doubts.by_number.get(&number).copied() else { return };
        if let Some((doubt, _)) = self.doubts.open.get_mut(&id) {
            doubt.has_contact |= *from != self.me && said.is_answer();
            said.own.into_iter().for_each(|vote| doubt.answered(from, vote));
            said.relayed.iter().for_each(|(who, vote)| doubt.relayed(from, who, *vote));
            self.decide_later(id, now);
        }
    }

    /// Those whose answers have not come by now are decided without.
    pub(super) fn decide_overdue(&mut self, now: Now) {
        while let Some((at_ms, id)) = self.doubts.deadlines.first().copied().filter(|(at_ms, _)| *at_ms <= now.mono_ms)
        {
            self.doubts.deadlines.remove(&(at_ms, id));
            self.decide_later(id, now);
        }
    }

    /// A failure is not in doubt any more; whether it was.
    pub(super) fn end_doubt(&mut self, id: TargetId) -> bool {
        let Some(doubt) = self.doubts.end(id) else { return false };
        self.relays.withdraw(&(Name::clone(&self.me), doubt.number));
        self.outbox.tell(Telling::Doubt(doubt.number, None));
        true
    }

    /// Asks the others that rank next for the endpoint, unless they are being asked.
    pub(super) fn doubt(&mut self, id: TargetId, saw: &Name, now: Now) {
        if let Some((_, seen)) = self.doubts.open.get_mut(&id) {
            *seen = Name::clone(saw);
            return;
        }
        let Some(scheduled) = self.targets.get(&id) else { return };
        let (origin, target) = (&scheduled.origin, &scheduled.target);
        let Some(registration) = self.registrations.get(origin) else { return };
        let (others, further) = (registration.others, Arc::clone(&registration.further));
        let work = owner::work(origin, &target.endpoint);
        let heard = self.standing.heard.iter().map(|name| &**name);
        let asked: Vec<_> = owner::ranked(&work, heard).into_iter().take(others.into()).map(Name::from).collect();
        if (asked.is_empty() && further.is_empty()) || self.doubts.open.len() >= OPEN_MAX {
            return;
        }
        let relays = self.standing.heard.iter().chain([&self.me]).cloned().collect();
        // No number of an earlier process of this name, to which peers may still have answers.
        self.doubts.last = (self.doubts.last + 1).max(u64::try_from(now.wall_ms).unwrap_or(0));
        let (number, deadline_ms) = (self.doubts.last, now.mono_ms + millis_up(target.check.timeout) + MARGIN_MS);
        let ask = Ask {
            origin: origin.clone(),
            endpoint: Name::clone(&target.endpoint),
            check: Name::clone(&target.check.name),
            address: target.address,
            asked: asked.iter().chain(&*further).cloned().collect(),
        };
        let doubt = Doubt::new(number, asked, deadline_ms).by_relays(further.iter().cloned(), &relays);
        self.doubts.open.insert(id, (doubt, Name::clone(saw)));
        self.doubts.by_number.insert(number, id);
        self.doubts.deadlines.insert((deadline_ms, id));
        self.doubts.counts.asked += 1;
        self.relay_for(&(Name::clone(&self.me), number), &ask);
        self.outbox.tell(Telling::Doubt(number, Some(ask)));
    }

    /// Decides about a target that has failed often enough; when to ask it again, if that follows.
    pub(super) fn decide(&mut self, id: TargetId, saw: &Name, now: Now) -> Option<Next> {
        if self.yields(id) {
            return None;
        }
        let own = if self.suspicion.is_on(now.mono_ms) { Own::Abstains } else { Own::Counts };
        let doubt = self.doubts.open.get(&id).map(|(doubt, _)| doubt);
        let decision = match (doubt, own) {
            (Some(doubt), own) => doubt.decide(own, now.mono_ms),
            (None, Own::Counts) => Decision::Convicted,
            (None, Own::Abstains) => Decision::Nobody,
        };
        let was_asked = doubt.is_some();
        if self.is_arriving(now) {
            return None;
        }
        if matches!(decision, Decision::Convicted | Decision::Acquitted) {
            self.note_answers(id, now);
        }
        let unheard = self.has_answers_of_nobody(id);
        let scheduled = self.targets.get_mut(&id)?;
        let needed = u16::from(scheduled.target.check.thresholds.failures.max(1));
        let suffices =
            decision == Decision::Nobody && scheduled.state.failures() >= needed.saturating_mul(ALONE_FACTOR);
        match decision {
            Decision::Pending => return None,
            Decision::Nobody if !suffices => {
                self.end_doubt(id);
                return None;
            }
            Decision::Convicted | Decision::Nobody => {
                // What is asked again and again while nobody answers is one conviction.
                let is_news = scheduled.state.health().is_callable() || scheduled.alone != unheard;
                self.doubts.counts.convicted += u64::from(was_asked && is_news);
                scheduled.alone = unheard;
                scheduled.state.convict(saw, now);
            }
            Decision::Acquitted => {
                scheduled.alone = false;
                scheduled.state.acquit(now);
                let origin = scheduled.origin.clone();
                self.doubts.counts.acquitted += 1;
                self.suspicion.denied(&origin, now.mono_ms);
            }
        }
        self.end_doubt(id);
        Some(Next::Interval)
    }

    fn is_arriving(&self, now: Now) -> bool {
        let began_ms = self.began_ms.unwrap_or(now.mono_ms);
        !self.me.is_empty() && now.mono_ms < began_ms.saturating_add(ARRIVAL_MS)
    }

    /// Whether another replica has answered about a target; `None` if nobody is being asked.
    pub(super) fn has_contact(&self, id: TargetId) -> Option<bool> {
        self.doubts.open.get(&id).map(|(doubt, _)| doubt.has_contact)
    }

    /// What those who are being asked about a target said by now.
    pub(super) fn answers(&self, id: TargetId) -> Vec<(Name, Option<Vote>)> {
        let doubt = self.doubts.open.get(&id).map(|(doubt, _)| doubt);
        let answers = doubt.into_iter().flat_map(Doubt::answers);
        answers.map(|(name, vote)| (Name::clone(name), vote)).collect()
    }

    /// What came of asking somebody for this replica itself.
    pub(super) fn answered_here(&mut self, number: u64, who: &Name, vote: Vote, now: Now) {
        let relayed = [(Name::clone(who), vote)].into();
        self.testified(&Name::clone(&self.me), number, &Testimony { own: None, relayed }, now);
    }

    /// The same when it is not a result that decides, but an answer, or that none came.
    fn decide_later(&mut self, id: TargetId, now: Now) {
        let Some((_, saw)) = self.doubts.open.get(&id) else { return };
        let saw = Name::clone(saw);
        let Some(scheduled) = self.targets.get(&id) else { return };
        let needed = u16::from(scheduled.target.check.thresholds.failures.max(1));
        let is_open = scheduled.state.health().is_callable() || scheduled.alone;
        if !is_open || scheduled.state.failures() < needed {
            return;
        }
        let was_alone = scheduled.alone;
        let (origin, endpoint) = (scheduled.origin.clone(), Name::clone(&scheduled.target.endpoint));
        self.decide(id, &saw, now);
        let Some(scheduled) = self.targets.get_mut(&id) else { return };
        // It has decided itself.
        let decided = !scheduled.state.health().is_callable();
        let news = decided && !std::mem::replace(&mut scheduled.fresh, true) || scheduled.alone != was_alone;
        let (witness, evidence) = (scheduled.witness(), scheduled.state.evidence());
        let change = self.say(&origin, &endpoint, witness, Some(evidence), news, now);
        self.changes.extend(change);
    }
}
