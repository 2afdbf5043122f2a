//! Who judges the beats of an endpoint: whoever is at it. So the old owner goes on until another one covers it, and whoever steps
//! in judges as well, however the replicas stand; a word that counts is never one of which nobody would hear the end.

use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::{Health, Name};

use super::Checks;
use crate::beat::{self, Ear};
use crate::ledger::{Evidence, Subject};

/// What this process does about the beats of an endpoint from now on. For [`crate::beat::Beats::listen`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The registration.
    pub origin: Arc<Origin>,
    /// Its endpoint.
    pub endpoint: Name,
    /// What.
    pub ear: Ear,
}

/// Who says what is known here of the beats of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Source {
    /// An earlier process alone.
    #[default]
    Past,
    /// Whoever judged them last. What another one finds is newer than that.
    Peers,
    /// This replica has listened.
    Here,
}

// === impl Checks ===

impl Checks {
    /// The next change of what this process does about beats.
    pub fn take_listening(&mut self) -> Option<Listening> {
        self.listening.pop_front()
    }

    /// Says what is done about the beats of an endpoint, if it is to beat.
    pub(super) fn listen(&mut self, origin: &Arc<Origin>, endpoint: &Name, ear: Ear) {
        if self.registrations.get(origin).is_some_and(|registration| registration.heartbeat) {
            self.listening.push_back(Listening { origin: Arc::clone(origin), endpoint: Name::clone(endpoint), ear });
        }
    }

    /// Who says what is known of the beats of an endpoint from now on.
    pub(super) fn set_ear(&mut self, origin: &Arc<Origin>, endpoint: &Name, ear: Source) {
        if let Some(post) = self.post_mut(origin, endpoint) {
            post.ear = ear;
        }
    }

    /// Who takes over and knows of beats no more than what was said of them takes what a peer has found since.
    pub(super) fn take_later_word(&mut self, origin: &Arc<Origin>, endpoint: &Name, peer: &Name) {
        if self.post(origin, endpoint).is_some_and(|post| post.ear == Source::Peers) {
            self.adopt(origin, endpoint, Some(peer));
        }
    }

    /// Whether a peer that judges an endpoint says that it beats. Then it says nothing that nobody beats here.
    pub(super) fn is_heard_elsewhere(&self, origin: &Arc<Origin>, endpoint: &Name) -> bool {
        let Some(post) = self.post(origin, endpoint).filter(|post| !post.covers) else { return false };
        let said = post.voice.as_ref().and_then(|peer| self.words.of(peer, origin, endpoint));
        said.and_then(of_beats).is_some_and(|said| said.health.is_callable())
    }
}

/// What is said of its beats, if they were ever heard.
pub(super) fn of_beats(subject: &Subject) -> Option<&Evidence> {
    subject.evidence.get(&beat::witness()).filter(|said| said.health != Health::Unknown)
}
