//! One instance of an agent, as its stream knows it.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollcall_catalog::input::{Origin, OriginKind};
use rollcall_catalog::model::{Health, Name};
use rollcall_health::beat::{NOTE_MAX, OnMachine};
use rollcall_xds::proto::rollcall::v1::Answer;
use rollcall_xds::proto::rollcall::v1::answer::State as WireState;
use rollcall_xds::proto::rollcall::v1::result::Verdict;

use crate::agents::admission::{Ears, Interval};
use crate::agents::desk::State;
use crate::agents::instance::{Instance, InstanceKey};

/// One instance of an agent.
#[derive(Debug)]
pub(super) struct Slot {
    /// Which endpoint it is; `None` for one that is refused.
    pub(super) key: Option<InstanceKey>,
    /// What it is to be, while it cannot be found out whether it may be registered.
    pub(super) deferred: Option<Arc<Instance>>,
    /// The registration in which it stands, once it does.
    origin: Option<Origin>,
    /// What each of its checks on the machine says, sorted by name. A check that has said nothing yet is Unknown, which keeps
    /// callers away: nobody knows.
    checks: Arc<[OnMachine]>,
    /// It has said goodbye: it is not heard any more.
    pub(super) left: bool,
    /// What the agent was told last.
    told: Option<(WireState, Box<str>)>,
}

// === impl Slot ===

impl Slot {
    /// One that is heard, with these checks on its machine.
    pub(super) fn new(key: InstanceKey, checks: &[Name]) -> Self {
        let names: BTreeSet<_> = checks.iter().collect();
        let checks = names.into_iter().map(|name| said(name, Verdict::Unknown, "")).collect();
        Self { key: Some(key), checks, ..Self::default() }
    }

    /// The same instance in a new Hello: what its checks said, and where it stands, stays.
    pub(super) fn take_over(&mut self, before: Self) {
        let known =
            |own: &OnMachine| before.checks.iter().find(|before| before.name == own.name).unwrap_or(own).clone();
        self.checks = self.checks.iter().map(known).collect();
        self.origin = before.origin;
    }

    /// What the registrar says of it.
    pub(super) fn on_state(&mut self, state: &State, index: u32) -> Option<Answer> {
        match state {
            State::Unsaid => None,
            State::Waiting(words) => self.says(index, WireState::Waiting, words),
            State::Registered(name) => {
                let namespace = self.key.as_ref().map(|key| Name::clone(&key.service.namespace))?;
                self.origin = Some(Origin::here(OriginKind::ServiceRegistration, namespace, Name::clone(name)));
                self.says(index, WireState::Registered, name)
            }
            State::Refused(words) => self.says(index, WireState::Refused, words),
            State::Left => self.says(index, WireState::Left, "it is deregistered"),
        }
    }

    /// It is not heard any more.
    pub(super) fn refuse(&mut self, index: u32, words: &str) -> Option<Answer> {
        *self = Self { told: self.told.take(), ..Self::default() };
        self.says(index, WireState::Refused, words)
    }

    /// It lives. `None` where that is not to be told: it stands nowhere yet, or has left.
    pub(super) fn beat(&self, ears: &dyn Ears) -> Option<Result<Interval, String>> {
        if self.left {
            return None;
        }
        Some(ears.beat(self.origin.as_ref()?, &self.key.as_ref()?.endpoint, &self.checks))
    }

    /// Its beat was taken in: what kept it from that before, is over.
    pub(super) fn is_heard(&mut self, index: u32) -> Option<Answer> {
        let name = Name::clone(&self.origin.as_ref()?.name);
        self.says(index, WireState::Registered, &name)
    }

    /// A check on its machine says something; whether that changes what is to be said of the instance.
    ///
    /// # Errors
    /// When it has no such check.
    pub(super) fn result(&mut self, check: &str, verdict: Verdict, output: &str) -> Result<bool, String> {
        let Some(before) = self.checks.iter().find(|known| *known.name == *check) else {
            return Err(format!("check {check:?} is none of its local_checks; name it in the Hello"));
        };
        let now = said(&before.name, verdict, output);
        let is_new = now.health != before.health;
        if now != *before {
            self.checks =
                self.checks.iter().map(|known| if known.name == now.name { &now } else { known }.clone()).collect();
        }
        Ok(is_new)
    }

    /// It stops: callers get it no longer, at once.
    pub(super) fn stop(&mut self, ears: &dyn Ears, index: u32) -> Option<Answer> {
        let (origin, key) = (self.origin.as_ref(), self.key.as_ref());
        self.left = true;
        let stopped = ears.stopped(origin?, &key?.endpoint);
        stopped.ok().and_then(|()| self.says(index, WireState::Left, "callers are not given it any more"))
    }

    /// An answer, if it is another than the last one.
    pub(super) fn says(&mut self, index: u32, state: WireState, words: &str) -> Option<Answer> {
        if self.told.as_ref().is_some_and(|(told, said)| *told == state && **said == *words) {
            return None;
        }
        self.told = Some((state, words.into()));
        Some(Answer { instance: index, state: state.into(), words: words.to_owned() })
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self { key: None, deferred: None, origin: None, checks: Arc::from([]), left: false, told: None }
    }
}

/// What a check says, in words that name it: they are shown beside those of other checks.
fn said(check: &Name, verdict: Verdict, output: &str) -> OnMachine {
    let health = match verdict {
        Verdict::Unknown => Health::Unknown,
        Verdict::Passing => Health::Passing,
        Verdict::Warning => Health::Warning,
        Verdict::Critical => Health::Critical,
    };
    let words = match (verdict, output) {
        (Verdict::Unknown, "") => format!("check {check}: has not been run yet"),
        (_, output) if output.starts_with(&format!("check {check}:")) => output.to_owned(),
        (_, output) => format!("check {check}: {output}"),
    };
    OnMachine { name: Name::clone(check), health, saw: beginning(&words, NOTE_MAX).into() }
}

fn beginning(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}
