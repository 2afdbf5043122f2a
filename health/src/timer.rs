//! What is due when.

use std::collections::BTreeSet;

/// Items by the millisecond at which they are due. An item is known by its due time and itself.
#[derive(Debug)]
pub(crate) struct Timer<T>(BTreeSet<(u64, T)>);

// === impl Timer ===

impl<T: Copy + Ord> Timer<T> {
    pub(crate) fn put(&mut self, due_ms: u64, item: T) {
        self.0.insert((due_ms, item));
    }

    pub(crate) fn remove(&mut self, due_ms: u64, item: T) {
        self.0.remove(&(due_ms, item));
    }

    /// When the first is due.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.0.first().map(|(due_ms, _)| *due_ms)
    }

    /// The first that is due at `now_ms`, with its time.
    pub(crate) fn pop(&mut self, now_ms: u64) -> Option<(u64, T)> {
        self.next_ms().filter(|due_ms| *due_ms <= now_ms)?;
        self.0.pop_first()
    }
}

impl<T> Default for Timer<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}
