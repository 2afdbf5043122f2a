//! What a probe has seen so far: told when its time is over before it could decide.

use std::sync::{Mutex, PoisonError};

/// What a probe has seen so far, in words that follow what was tried.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<Option<String>>);

// === impl Progress ===

impl Progress {
    /// So far this was seen.
    pub(super) fn saw(&self, words: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(words.into());
    }

    /// What was seen last.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
