//! What came of a probe, and the verdict that follows.

use std::sync::Arc;

use rollcall_catalog::input::{Origin, Verdict};
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use super::turns::millis_up;
use super::{Change, Checks, Course, Stage, TargetId, health};
use crate::beat::Silence;
use crate::ledger::{Evidence, Subject, Vantage, Witness};
use crate::outcome::Outcome;
use crate::schedule;

// === impl Checks ===

impl Checks {
    /// Takes in what came of a probe; the change that follows, if one does.
    pub fn finished(&mut self, id: TargetId, outcome: &Outcome, now: Now) -> Option<Change> {
        if let Some((origin, _)) = self.summons.target(id) {
            self.shares.release(&Arc::clone(origin));
            let suspects = self.suspicion.is_on(now.mono_ms);
            self.summons.found(id, outcome, suspects, &mut self.outbox);
            return None;
        }
        let scheduled = self.targets.get(&id).filter(|scheduled| scheduled.stage == Stage::Running)?;
        let (origin, endpoint) = (Arc::clone(&scheduled.origin), Name::clone(&scheduled.target.endpoint));
        self.shares.release(&origin);
        if !self.probes(&origin, &endpoint) {
            self.fall_asleep(id);
            return None;
        }
        let was_alone = scheduled.alone;
        let next = self.observe(id, outcome, now)?;
        let scheduled = self.targets.get_mut(&id)?;
        scheduled.alone &= !scheduled.state.health().is_callable();
        let delay = schedule::delay(next, &scheduled.target.check, scheduled.phase, scheduled.began_ms, now);
        // Until it has decided itself, who has done so already knows better.
        let decided = match outcome {
            Outcome::Success(_) | Outcome::Warning(_) => scheduled.state.health().is_callable(),
            Outcome::Failure(_) => !scheduled.state.health().is_callable(),
            Outcome::LocalFault(..) => false,
        };
        let news = decided && !std::mem::replace(&mut scheduled.fresh, true) || scheduled.alone != was_alone;
        let (evidence, witness) = (scheduled.state.evidence(), scheduled.witness());
        self.due(id, now.mono_ms.saturating_add(millis_up(delay)));
        self.say(&origin, &endpoint, witness, Some(evidence), news, now)
    }

    /// How an endpoint came to fail: by its `silence`, or else by the check that saw it first; `None` where no check of ours
    /// both saw it live and fail.
    pub fn course(&self, origin: &Arc<Origin>, endpoint: &Name, silence: Option<Silence>) -> Option<Course> {
        let registration = self.registrations.get(origin)?;
        if let Some(Silence { heard_ms, convicted_ms, longest }) = silence {
            let service = registration.service.clone();
            return Some(Course { service, alive_ms: heard_ms, failed_ms: convicted_ms, longest: Some(longest) });
        }
        let targets = registration.targets.iter().filter_map(|id| self.targets.get(id));
        let failing =
            targets.filter(|target| target.target.endpoint == *endpoint && target.state.health() == Health::Critical);
        let (alive_ms, failed_ms) =
            failing.filter_map(|target| target.state.failed_since()).min_by_key(|(_, failed)| *failed)?;
        Some(Course { service: registration.service.clone(), alive_ms, failed_ms, longest: None })
    }

    /// Notes what a witness says; with `news` it may be that this replica covers the endpoint from now on.
    pub(super) fn say(
        &mut self,
        origin: &Arc<Origin>,
        endpoint: &Name,
        witness: Witness,
        evidence: Option<Evidence>,
        news: bool,
        now: Now,
    ) -> Option<Change> {
        let said = self.subject(origin, endpoint).and_then(|subject| subject.evidence.get(&witness));
        let same = said == evidence.as_ref();
        if same && !news {
            return None;
        }
        let before = self.in_force(origin, endpoint);
        let is_probe = matches!(witness.vantage, Vantage::Address(_));
        if !same {
            self.ledger.put(origin, endpoint, witness, evidence);
        }
        if news {
            self.settle(origin, endpoint, now);
        }
        if self.covers(origin, endpoint) {
            self.outbox.verdicts(origin);
        }
        let change = self.change(origin, endpoint, before.as_ref());
        let is_ours = self.post(origin, endpoint).is_some_and(|post| post.voice.is_none());
        // Of beats who hears them knows better at once.
        if let (Some(change), Some(before), true) = (&change, &before, is_ours && is_probe)
            && change.verdict.as_ref().is_some_and(|verdict| verdict.health != before.health)
        {
            self.has_turned(origin, endpoint, before.health, now);
        }
        change
    }

    /// What counts here: this replica's own verdict, or that of the peer whose word it takes.
    pub(super) fn in_force(&self, origin: &Arc<Origin>, endpoint: &Name) -> Option<Verdict> {
        let voice =
            self.registrations.get(origin).and_then(|registration| registration.posts.get(endpoint)?.voice.as_ref());
        match voice {
            Some(peer) => self.words.of(peer, origin, endpoint).and_then(Subject::verdict),
            None => self.subject(origin, endpoint).and_then(Subject::verdict),
        }
    }

    /// What differs from before.
    pub(super) fn change(&self, origin: &Arc<Origin>, endpoint: &Name, before: Option<&Verdict>) -> Option<Change> {
        let verdict = self.in_force(origin, endpoint);
        if verdict.as_ref() == before {
            return None;
        }
        let post = self.registrations.get(origin).and_then(|registration| registration.posts.get(endpoint));
        Some(Change {
            origin: Arc::clone(origin),
            endpoint: Name::clone(endpoint),
            before: health(before),
            own: post.is_none_or(|post| post.voice.is_none())
                && !self.is_told(origin, endpoint, health(verdict.as_ref())),
            verdict,
        })
    }

    /// Whether a peer that is at the same endpoint has said so already, and told whom it concerns.
    fn is_told(&self, origin: &Arc<Origin>, endpoint: &Name, now: Health) -> bool {
        let said = |peer: &Name| self.words.of(peer, origin, endpoint).and_then(Subject::verdict);
        self.standing.heard.iter().filter_map(said).any(|verdict| verdict.health == now)
    }
}
