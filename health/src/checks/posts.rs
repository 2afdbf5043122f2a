//! Who probes an endpoint, and whose word about it counts: [`handover`] for each, whenever what is seen changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rollcall_catalog::input::{Origin, Verdict};
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use super::listening::Source;
use super::{Checks, Registration, Stage, TargetId, listening, plan};
use crate::beat::Ear;
use crate::handover::{self, Sight};
use crate::ledger::{Evidence, Subject, Vantage, Witness};
use crate::membership::Standing;
use crate::owner;
use crate::plan::{Endpoints, Planned};
use crate::state::CheckState;

/// How this replica stands to an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Post {
    /// It is to be probed here.
    pub(super) probes: bool,
    /// All that is to be probed has had a result since.
    pub(super) covers: bool,
    /// Who says what is known here of its beats.
    pub(super) ear: Source,
    /// The peer whose word counts; `None` for this replica's own.
    pub(super) voice: Option<Name>,
    /// Since when nobody has covered it.
    uncovered_ms: Option<u64>,
    /// When this replica steps in.
    step_in_ms: Option<u64>,
}

/// Those of the endpoints of a registration, sorted by name.
#[derive(Debug, Default)]
pub(super) struct Posts(Box<[(Name, Post)]>);

/// When this replica steps in where nobody covers.
#[derive(Debug, Default)]
pub(super) struct StepIn(BTreeSet<(u64, Arc<Origin>, Name)>);

// === impl Posts ===

impl Posts {
    pub(super) fn get(&self, endpoint: &Name) -> Option<&Post> {
        let at = self.0.binary_search_by(|(name, _)| name.cmp(endpoint)).ok()?;
        self.0.get(at).map(|(_, post)| post)
    }

    fn get_mut(&mut self, endpoint: &Name) -> Option<&mut Post> {
        let at = self.0.binary_search_by(|(name, _)| name.cmp(endpoint)).ok()?;
        self.0.get_mut(at).map(|(_, post)| post)
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.iter().map(|(name, _)| name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &Post)> {
        self.0.iter().map(|(name, post)| (name, post))
    }
}

// === impl StepIn ===

impl StepIn {
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.0.first().map(|(due_ms, _, _)| *due_ms)
    }

    /// Forgets what is to be done for a registration whose posts are these.
    pub(super) fn forget(&mut self, origin: &Arc<Origin>, posts: &Posts) {
        for (name, post) in posts.iter() {
            if let Some(step_in_ms) = post.step_in_ms {
                self.0.remove(&(step_in_ms, Arc::clone(origin), Name::clone(name)));
            }
        }
    }

    fn pop(&mut self, now_ms: u64) -> Option<(Arc<Origin>, Name)> {
        self.next_ms().filter(|due_ms| *due_ms <= now_ms)?;
        self.0.pop_first().map(|(_, origin, endpoint)| (origin, endpoint))
    }
}

// === impl Checks ===

impl Checks {
    /// The replicas stand otherwise from now on.
    pub fn stand(&mut self, standing: Standing, now: Now) {
        let had_peers = self.has_peers();
        self.standing = standing;
        let origins: Vec<_> = self.registrations.keys().cloned().collect();
        for origin in origins {
            self.settle_all(&origin, now);
            if !had_peers && self.has_peers() {
                self.outbox.verdicts(&origin);
            }
        }
    }

    /// A peer says this of the endpoints of a registration that it covers, and no more.
    pub fn heard(&mut self, from: &Name, origin: &Arc<Origin>, said: BTreeMap<Name, Subject>, now: Now) {
        let before = self.watch(origin);
        let (stay, go): (Vec<_>, Vec<_>) =
            self.spoken_for(origin, from).into_iter().partition(|name| said.contains_key(name));
        // What is withdrawn and counted is taken over before it goes, should nobody else have any.
        go.iter().for_each(|name| self.adopt(origin, name, Some(from)));
        let turned = self.otherwise_than_here(origin, from, &said);
        self.words.replace(from, origin, said);
        for name in &turned {
            self.look_again(origin, name, now);
            self.take_later_word(origin, name, from);
        }
        // Who is about to take over begins with the latest.
        let probed = stay.iter().filter(|name| self.probes(origin, name)).cloned().collect::<Vec<_>>();
        probed.iter().for_each(|name| self.adopt(origin, name, Some(from)));
        self.settle_watched(origin, before, now);
    }

    /// A peer is gone for good, and its words with it.
    pub fn gone(&mut self, from: &Name, now: Now) {
        self.asks_no_more(from);
        for origin in self.words.origins(from) {
            self.heard(from, &origin, BTreeMap::new(), now);
        }
    }

    pub(super) fn has_peers(&self) -> bool {
        self.standing.live.iter().any(|name| *name != self.me) || !self.standing.heard.is_empty()
    }

    pub(super) fn probes(&self, origin: &Arc<Origin>, endpoint: &Name) -> bool {
        self.post(origin, endpoint).is_some_and(|post| post.probes)
    }

    pub(super) fn covers(&self, origin: &Arc<Origin>, endpoint: &Name) -> bool {
        self.post(origin, endpoint).is_some_and(|post| post.covers)
    }

    /// How this replica stands to the endpoints of a plan: as before where they were there, else by rank alone. Nobody has to
    /// be there for those of a plan of `nothing` that were never watched: most registered endpoints may be such.
    pub(super) fn posts(
        &self,
        origin: &Arc<Origin>,
        before: Option<&Registration>,
        endpoints: &Endpoints,
        nothing: bool,
        now: Now,
    ) -> Posts {
        if nothing && before.is_none_or(|before| before.posts.are_none()) {
            return Posts::default();
        }
        let post = |planned: &Planned| {
            let name = &planned.name;
            let known = before.and_then(|before| Some((before.endpoints.get(name)?, before.posts.get(name)?)));
            let post = match known {
                Some((old, post)) if old.addresses == planned.addresses => post.clone(),
                Some(_) | None => {
                    let work = owner::work(origin, name);
                    let live = self.standing.live.iter().map(|name| &**name);
                    let probes = owner::owner(&work, live).is_none_or(|owner| owner == &*self.me);
                    Post { probes, uncovered_ms: Some(now.mono_ms), ..Post::default() }
                }
            };
            (Name::clone(name), post)
        };
        Posts(endpoints.iter().map(post).collect())
    }

    /// The verdicts after a new plan, given those of this replica's own ledger.
    pub(super) fn settle_plan(
        &mut self,
        origin: &Arc<Origin>,
        told: Vec<(Name, Option<Verdict>)>,
        now: Now,
    ) -> Vec<(Name, Option<Verdict>)> {
        let names: Vec<_> =
            self.registrations.get(origin).into_iter().flat_map(|of| of.posts.names().cloned()).collect();
        for name in &names {
            if let Some(post) = self.post_mut(origin, name) {
                post.step_in_ms = None;
            }
            self.settle(origin, name, now);
            let ear = if self.probes(origin, name) { Ear::Judges } else { Ear::Rests };
            self.listen(origin, name, ear);
        }
        self.outbox.verdicts(origin);
        let mut verdicts: BTreeMap<_, _> = told.into_iter().collect();
        for name in names {
            if let Some(verdict) = self.in_force(origin, &name) {
                verdicts.insert(name, Some(verdict));
            }
        }
        verdicts.into_iter().collect()
    }

    /// Steps in where that is due.
    pub(super) fn step_in_where_nobody_is(&mut self, now: Now) {
        while let Some((origin, endpoint)) = self.step_in.pop(now.mono_ms) {
            if let Some(post) = self.post_mut(&origin, &endpoint) {
                post.step_in_ms = None;
            }
            self.settle_one(&origin, &endpoint, now);
        }
    }

    /// The same with what it changes.
    pub(super) fn settle_one(&mut self, origin: &Arc<Origin>, endpoint: &Name, now: Now) {
        let before = self.in_force(origin, endpoint);
        self.settle(origin, endpoint, now);
        let change = self.change(origin, endpoint, before.as_ref());
        self.changes.extend(change);
    }

    /// Does what follows from what is seen of an endpoint now.
    pub(super) fn settle(&mut self, origin: &Arc<Origin>, endpoint: &Name, now: Now) {
        let covers = self.covers_now(origin, endpoint);
        let Some(registration) = self.registrations.get(origin) else { return };
        let (Some(planned), Some(post)) = (registration.endpoints.get(endpoint), registration.posts.get(endpoint))
        else {
            return;
        };
        let covering = self.words.covering(&self.standing.heard, origin, endpoint, planned.addresses);
        let covering = self.up_to_date(origin, endpoint, covering);
        let uncovered = !covers && covering.is_empty();
        let since_ms = uncovered.then(|| post.uncovered_ms.unwrap_or(now.mono_ms));
        let work = owner::work(origin, endpoint);
        let ranked = owner::ranked(&work, self.standing.live.iter().map(|name| &**name));
        let uncovered_ms = since_ms.map_or(0, |since_ms| now.mono_ms.saturating_sub(since_ms));
        let sight =
            Sight { me: &self.me, ranked: &ranked, covering: &covering, probes: post.probes, covers, uncovered_ms };
        let duty = handover::duty(sight);
        let (voice, probe) = (duty.voice.map(Name::from), duty.probe);
        let step_in_ms = duty.step_in_ms.zip(since_ms).map(|(after_ms, since_ms)| since_ms.saturating_add(after_ms));
        let before = post.clone();
        let ear = Source::default();
        let mut post = Post { probes: probe, covers: covers && probe, ear, voice, uncovered_ms: since_ms, step_in_ms };
        if before.voice.is_some() && post.voice.is_none() && !covers {
            self.adopt(origin, endpoint, before.voice.as_ref());
        }
        if probe && (!before.probes || post.voice != before.voice) {
            self.adopt(origin, endpoint, post.voice.as_ref());
        }
        post.ear = self.post(origin, endpoint).filter(|_| probe).map(|post| post.ear).unwrap_or_default();
        self.remind(origin, endpoint, before.step_in_ms, step_in_ms);
        let news = post.covers != before.covers;
        if let Some(old) = self.post_mut(origin, endpoint) {
            *old = post;
        }
        if probe != before.probes {
            self.listen(origin, endpoint, if probe { Ear::Begins } else { Ear::Rests });
            self.probe(origin, endpoint, probe, now);
        }
        if news {
            self.outbox.verdicts(origin);
        }
    }

    fn remind(&mut self, origin: &Arc<Origin>, endpoint: &Name, old_ms: Option<u64>, new_ms: Option<u64>) {
        let key = |at_ms| (at_ms, Arc::clone(origin), Name::clone(endpoint));
        if let Some(old_ms) = old_ms.filter(|_| old_ms != new_ms) {
            self.step_in.0.remove(&key(old_ms));
        }
        if let Some(new_ms) = new_ms.filter(|_| old_ms != new_ms) {
            self.step_in.0.insert(key(new_ms));
        }
    }

    /// Begins or ends to probe an endpoint.
    fn probe(&mut self, origin: &Arc<Origin>, endpoint: &Name, probe: bool, now: Now) {
        for id in self.targets_of(origin, endpoint) {
            match self.targets.get(&id) {
                Some(scheduled) if probe && scheduled.stage == Stage::Idle => {
                    let when = plan::taken_over(&scheduled.state);
                    self.wake(id, when, now);
                }
                Some(_) if !probe => self.rest(id),
                Some(_) | None => {}
            }
        }
    }

    /// Takes over what a peer says, as far as this replica has found out nothing itself.
    pub(super) fn adopt(&mut self, origin: &Arc<Origin>, endpoint: &Name, peer: Option<&Name>) {
        let Some(said) = peer.and_then(|peer| self.words.of(peer, origin, endpoint)).cloned() else { return };
        let addresses = self.registrations.get(origin).and_then(|of| of.endpoints.get(endpoint)).map(|of| of.addresses);
        if addresses != Some(said.addresses) {
            return;
        }
        for id in self.targets_of(origin, endpoint) {
            let Some(scheduled) = self.targets.get_mut(&id).filter(|scheduled| !scheduled.fresh || scheduled.alone)
            else {
                continue;
            };
            let witness = scheduled.witness();
            // What it has counted of the same is not begun anew.
            let news = |evidence: &&Evidence| evidence.health != scheduled.state.health();
            if let Some(evidence) = said.evidence.get(&witness).filter(news) {
                scheduled.state = CheckState::taken_over(evidence);
                (scheduled.fresh, scheduled.alone) = (false, false);
                self.ledger.put(origin, endpoint, witness, Some(evidence.clone()));
            }
        }
        self.ledger.open(origin, endpoint, said.addresses);
        if !self.probes(origin, endpoint) {
            // What others said here when this replica probed last is of no use any more.
            let old = self.subject(origin, endpoint).into_iter().flat_map(|subject| subject.evidence.keys().cloned());
            let is_other = |witness: &Witness| !matches!(witness.vantage, Vantage::Address(_));
            let old: Vec<_> = old.filter(|old| is_other(old) && !said.evidence.contains_key(old)).collect();
            old.into_iter().for_each(|witness| _ = self.ledger.put(origin, endpoint, witness, None));
        }
        if listening::of_beats(&said).is_some() {
            self.set_ear(origin, endpoint, Source::Peers);
            if self.probes(origin, endpoint) {
                self.listen(origin, endpoint, Ear::Begins);
            }
        }
        let others = said.evidence.into_iter().filter(|(witness, _)| !matches!(witness.vantage, Vantage::Address(_)));
        for (witness, evidence) in others {
            self.ledger.put(origin, endpoint, witness, Some(evidence));
        }
    }

    /// The endpoints of a registration about which the word of a peer counts.
    fn spoken_for(&self, origin: &Arc<Origin>, peer: &Name) -> Vec<Name> {
        let posts = self.registrations.get(origin).into_iter().flat_map(|registration| registration.posts.iter());
        posts.filter(|(_, post)| post.voice.as_ref() == Some(peer)).map(|(name, _)| Name::clone(name)).collect()
    }

    fn settle_all(&mut self, origin: &Arc<Origin>, now: Now) {
        let before = self.watch(origin);
        self.settle_watched(origin, before, now);
    }

    /// The verdicts in force on the endpoints of a registration.
    fn watch(&self, origin: &Arc<Origin>) -> Vec<(Name, Option<Verdict>)> {
        let names = self.registrations.get(origin).into_iter().flat_map(|registration| registration.posts.names());
        names.map(|name| (Name::clone(name), self.in_force(origin, name))).collect()
    }

    fn settle_watched(&mut self, origin: &Arc<Origin>, before: Vec<(Name, Option<Verdict>)>, now: Now) {
        for (name, before) in before {
            self.settle(origin, &name, now);
            let change = self.change(origin, &name, before.as_ref());
            self.changes.extend(change);
        }
    }

    /// Whether all that is to be probed of an endpoint has had a result since it is probed here.
    fn covers_now(&self, origin: &Arc<Origin>, endpoint: &Name) -> bool {
        if !self.probes(origin, endpoint) {
            return false;
        }
        let targets = self.targets_of(origin, endpoint);
        if self.is_found_alone(&targets) {
            return false;
        }
        let fresh = |id: &TargetId| self.targets.get(id).is_some_and(|scheduled| scheduled.fresh);
        // What is Unknown was never heard here: somebody else may know.
        let known = |subject: &Subject| subject.evidence.values().any(|said| said.health != Health::Unknown);
        let judged = || {
            self.post(origin, endpoint).is_some_and(|post| post.ear != Source::Past)
                && self.subject(origin, endpoint).is_some_and(known)
        };
        // Who covers goes on to do so when a further check begins.
        self.covers(origin, endpoint) || (targets.iter().all(fresh) && (!targets.is_empty() || judged()))
    }

    pub(super) fn targets_of(&self, origin: &Arc<Origin>, endpoint: &Name) -> Vec<TargetId> {
        let ids = self.registrations.get(origin).into_iter().flat_map(|registration| &registration.targets);
        let of = |id: &&TargetId| self.targets.get(id).is_some_and(|scheduled| scheduled.target.endpoint == *endpoint);
        ids.filter(of).copied().collect()
    }

    pub(super) fn post(&self, origin: &Arc<Origin>, endpoint: &Name) -> Option<&Post> {
        self.registrations.get(origin)?.posts.get(endpoint)
    }

    pub(super) fn post_mut(&mut self, origin: &Arc<Origin>, endpoint: &Name) -> Option<&mut Post> {
        self.registrations.get_mut(origin)?.posts.get_mut(endpoint)
    }
}
