use std::fmt;

use crate::proto::discovery::DeltaDiscoveryRequest;

/// Names one response on its stream. A counter from 1, unrelated to versions (cilium #45288).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nonce(u64);

/// A response that the client refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which response.
    pub nonce: Nonce,
    /// The client's `google.rpc.Status` code.
    pub code: i32,
    /// The client's words, cut at [`Rejection::MESSAGE_CHARS_MAX`].
    pub message: String,
}

/// What a request said about earlier responses, beside its subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing, or of a response that is not of this stream.
    Nothing,
    /// The client applied that response.
    Ack(Nonce),
    /// The client refused that response, or a part of it.
    Nack(Rejection),
    /// The type is not served here. Names were refused one by one, a wildcard was answered with nothing.
    Unserved,
}

// === impl Nonce ===

impl Nonce {
    pub(super) fn advance(&mut self) -> Self {
        self.0 += 1;
        *self
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Rejection ===

impl Rejection {
    /// Longest message kept, in characters.
    pub const MESSAGE_CHARS_MAX: usize = 1024;
}

// === impl Heard ===

impl Heard {
    /// Reads the answer in `request`, on a stream whose last response was `last`.
    pub(super) fn of(request: &DeltaDiscoveryRequest, last: Nonce) -> Self {
        let ours = Nonce::parse(&request.response_nonce).filter(|nonce| (1..=last.0).contains(&nonce.0));
        match (ours, &request.error_detail) {
            (None, _) => Self::Nothing,
            (Some(nonce), None) => Self::Ack(nonce),
            (Some(nonce), Some(error)) => {
                let message = error.message.chars().take(Rejection::MESSAGE_CHARS_MAX).collect();
                Self::Nack(Rejection { nonce, code: error.code, message })
            }
        }
    }
}
