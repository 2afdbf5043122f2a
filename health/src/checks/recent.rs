//! What this replica has decided just now, and what it was before: a word that comes late and says the old is no news.
//!
//! Words of peers travel. One that was said before this replica found that an endpoint has turned may arrive after it, from a peer
//! that ranks before it: taken at once, callers would be told of the turn, of its contrary, and of the turn again. Which of two
//! verdicts is the newer cannot be told by the clocks of two replicas. So for [`KEPT_MS`] a peer relieves nobody who says of an
//! endpoint what it was before; and who hears from a peer that an endpoint has turned looks at once itself. What turns back within
//! that time, just while it changes hands, is told so much later.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rollcall_catalog::input::{Origin, Verdict};
use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use super::{Checks, Stage};
use crate::ledger::Subject;

/// What was decided here within [`KEPT_MS`].
#[derive(Debug, Default)]
pub(super) struct Recent {
    all: HashMap<(Arc<Origin>, Name), Turned>,
    ends: BTreeSet<(u64, Arc<Origin>, Name)>,
}

#[derive(Clone, Copy, Debug)]
struct Turned {
    until_ms: u64,
    /// What it was before.
    before: Health,
}

/// For so long a word that says the old is waited out: it travels, and who said it looks again.
const KEPT_MS: u64 = 1_500;

// === impl Recent ===

impl Recent {
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.ends.first().map(|(at_ms, _, _)| *at_ms)
    }

    /// Whether a peer that says this says what was so before.
    fn is_old(&self, key: &(Arc<Origin>, Name), said: Option<&Verdict>) -> bool {
        let old = self.all.get(key).zip(said);
        old.is_some_and(|(turned, said)| turned.before == said.health)
    }

    fn note(&mut self, key: (Arc<Origin>, Name), turned: Turned) {
        self.forget(&key);
        self.ends.insert((turned.until_ms, Arc::clone(&key.0), Name::clone(&key.1)));
        self.all.insert(key, turned);
    }

    fn forget(&mut self, key: &(Arc<Origin>, Name)) {
        if let Some(turned) = self.all.remove(key) {
            self.ends.remove(&(turned.until_ms, Arc::clone(&key.0), Name::clone(&key.1)));
        }
    }

    fn pop(&mut self, now_ms: u64) -> Option<(Arc<Origin>, Name)> {
        self.next_ms().filter(|at_ms| *at_ms <= now_ms)?;
        let (_, origin, endpoint) = self.ends.pop_first()?;
        let key = (origin, endpoint);
        self.all.remove(&key);
        Some(key)
    }
}

// === impl Checks ===

impl Checks {
    /// This replica has found that an endpoint is not as it was.
    pub(super) fn has_turned(&mut self, origin: &Arc<Origin>, endpoint: &Name, before: Health, now: Now) {
        if self.has_peers() {
            let turned = Turned { until_ms: now.mono_ms.saturating_add(KEPT_MS), before };
            self.recent.note((Arc::clone(origin), Name::clone(endpoint)), turned);
        }
    }

    /// Those of `covering` that do not say what this replica has just found to be over.
    pub(super) fn up_to_date<'a>(
        &self,
        origin: &Arc<Origin>,
        endpoint: &Name,
        mut covering: Vec<&'a Name>,
    ) -> Vec<&'a str> {
        let key = (Arc::clone(origin), Name::clone(endpoint));
        if self.recent.all.contains_key(&key) {
            let said = |peer: &Name| self.words.of(peer, origin, endpoint).and_then(Subject::verdict);
            covering.retain(|peer| !self.recent.is_old(&key, said(peer).as_ref()));
        }
        covering.into_iter().map(|peer| &**peer).collect()
    }

    /// From here on whoever says the old counts again: he has had the time to look.
    pub(super) fn let_old_words_count(&mut self, now: Now) {
        while let Some((origin, endpoint)) = self.recent.pop(now.mono_ms) {
            self.settle_one(&origin, &endpoint, now);
        }
    }

    /// Nothing of a registration is recent any more.
    pub(super) fn forget_recent(&mut self, origin: &Arc<Origin>) {
        let gone: Vec<_> = self.recent.all.keys().filter(|(of, _)| of == origin).cloned().collect();
        gone.iter().for_each(|key| self.recent.forget(key));
    }

    /// The endpoints that a peer says to have turned, of those that this replica is at and knows otherwise.
    pub(super) fn otherwise_than_here(
        &self,
        origin: &Arc<Origin>,
        peer: &Name,
        said: &BTreeMap<Name, Subject>,
    ) -> Vec<Name> {
        let callable = |subject: &Subject| subject.verdict().map(|verdict| verdict.health.is_callable());
        let turned = |(name, now): &(&Name, &Subject)| {
            let before = self.words.of(peer, origin, name).and_then(callable);
            let (now, here) = (callable(now), self.subject(origin, name).and_then(callable));
            now != before && now.is_some() && here.is_some_and(|here| now != Some(here))
        };
        { said.iter() }
            .filter(turned)
            .filter(|(name, _)| self.probes(origin, name))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// A peer has found of endpoints that are probed here that they turned: this replica looks itself, not at their next time.
    pub(super) fn look_again(&mut self, origin: &Arc<Origin>, endpoint: &Name, now: Now) {
        if !self.covers(origin, endpoint) {
            return;
        }
        for id in self.targets_of(origin, endpoint) {
            let due = self.targets.get(&id).filter(|scheduled| scheduled.stage == Stage::Due);
            if let Some(due_ms) = due.map(|scheduled| scheduled.due_ms).filter(|due_ms| *due_ms > now.mono_ms) {
                self.timer.remove(due_ms, id);
                self.due(id, now.mono_ms);
            }
        }
    }
}
