//! One unanswered response of a type.

use super::Nonce;

/// One response of a type may be unanswered, so that a slow reader costs itself only.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The last response, until it is answered. Answers come in order, so one for the last is one for all.
    unanswered: Option<Nonce>,
    last: Nonce,
    /// The client subscribed to more meanwhile: it reads, and is answered without waiting.
    lifted: bool,
}

// === impl Window ===

impl Window {
    /// Whether a response may be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.unanswered.is_none() || self.lifted
    }

    /// Whether the client has read everything that was sent.
    pub(crate) fn is_settled(&self) -> bool {
        self.unanswered.is_none()
    }

    /// The last response, answered or not; zero when there was none.
    pub(crate) fn last_sent(&self) -> Nonce {
        self.last
    }

    pub(crate) fn lift(&mut self) {
        self.lifted = true;
    }

    pub(crate) fn sent(&mut self, nonce: Nonce) {
        *self = Self { unanswered: Some(nonce), last: nonce, lifted: false };
    }

    pub(crate) fn answered(&mut self, nonce: Nonce) {
        self.unanswered = self.unanswered.filter(|unanswered| *unanswered != nonce);
    }
}
