//! What a request says about earlier responses.

use super::{Nonce, Rejection};
use crate::proto::discovery::Status;

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

// === impl Heard ===

impl Heard {
    /// An answer to the response of that nonce, if that is one of this stream.
    pub(super) fn of(nonce: Option<Nonce>, error: Option<&Status>) -> Self {
        match (nonce, error) {
            (None, _) => Self::Nothing,
            (Some(nonce), None) => Self::Ack(nonce),
            (Some(nonce), Some(error)) => {
                let message = error.message.chars().take(Rejection::MESSAGE_CHARS_MAX).collect();
                Self::Nack(Rejection { nonce, code: error.code, message })
            }
        }
    }
}
