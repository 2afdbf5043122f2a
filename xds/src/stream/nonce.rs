//! Names of responses, and what clients refuse.

use std::fmt;

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

// === impl Nonce ===

impl Nonce {
    pub(crate) fn advance(&mut self) -> Self {
        self.0 += 1;
        *self
    }

    /// Reads what a client says, on a stream whose last response was `last`; `None` when it is of another stream.
    pub(crate) fn read(text: &str, last: Self) -> Option<Self> {
        text.parse().ok().filter(|nonce| (1..=last.0).contains(nonce)).map(Self)
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
