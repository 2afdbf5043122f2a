//! What this replica has found dead by its own word, with nobody there to contradict it.
//!
//! A replica that is cut off from everything cannot tell that from the death of its targets. What it finds then holds for its own
//! readers, who are where it is; but it is said to no other replica, since it covers nothing that it found so. Once it hears
//! others again, it asks them at the next failure: their word stands.

use rollcall_catalog::model::Name;
use rollcall_catalog::time::Now;

use super::{Checks, TargetId};

impl Checks {
    /// Whether one of these was found dead so.
    pub(super) fn is_found_alone(&self, targets: &[TargetId]) -> bool {
        targets.iter().any(|id| self.targets.get(id).is_some_and(|scheduled| scheduled.alone))
    }

    /// Whether other replicas were to be asked about a target, and none has answered.
    pub(super) fn has_answers_of_nobody(&self, id: TargetId) -> bool {
        let Some(scheduled) = self.targets.get(&id) else { return false };
        if self.registrations.get(&scheduled.origin).is_none_or(|registration| registration.others == 0) {
            return false;
        }
        match self.has_contact(id) {
            Some(has_contact) => !has_contact,
            None => self.standing.heard.is_empty(),
        }
    }

    /// A target that was found dead so fails again: others are asked now, if there are any.
    pub(super) fn ask_who_is_back(&mut self, id: TargetId, saw: &Name, now: Now) {
        let is_alone = self.targets.get(&id).is_some_and(|scheduled| scheduled.alone);
        if is_alone && !self.standing.heard.is_empty() {
            self.doubt(id, saw, now);
            self.decide(id, saw, now);
        }
    }
}
