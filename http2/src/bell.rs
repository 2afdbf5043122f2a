//! Which streams can go on.

use std::{
    mem,
    sync::{Mutex, PoisonError},
    task::Waker,
};

use futures::task::AtomicWaker;

/// Rung by streams, heard by the task of their connection.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    task: AtomicWaker,
    rung: Mutex<Vec<u32>>,
}

// === impl Bell ===

impl Bell {
    pub(crate) fn ring(&self, stream: u32) {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        self.task.wake();
    }

    /// Wakes this one from now on.
    pub(crate) fn listen(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Who has rung since the last time.
    pub(crate) fn rung(&self) -> Vec<u32> {
        mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
