//! A connection that makes progress while something else is awaited: when the probe ends, it is gone with it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

/// A connection that is driven here and not in a task.
pub(super) struct Driven<'a, C> {
    connection: Pin<&'a mut C>,
    ended: bool,
}

// === impl Driven ===

impl<'a, C: Future> Driven<'a, C> {
    pub(super) fn new(connection: Pin<&'a mut C>) -> Self {
        Self { connection, ended: false }
    }

    /// Awaits `wanted`. A server may close as soon as it has answered: the answer is there all the same.
    pub(super) async fn beside<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            if !self.ended {
                self.ended = self.connection.as_mut().poll(cx).is_ready();
            }
            wanted.as_mut().poll(cx)
        })
        .await
    }

    /// As [`Driven::beside`]; what the connection ended with, should it end before `wanted` has come.
    pub(super) async fn unless_ended<T>(&mut self, wanted: impl Future<Output = T>) -> Result<T, Option<C::Output>> {
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            let mut end = None;
            if !self.ended
                && let Poll::Ready(output) = self.connection.as_mut().poll(cx)
            {
                (self.ended, end) = (true, Some(output));
            }
            match wanted.as_mut().poll(cx) {
                Poll::Ready(value) => Poll::Ready(Ok(value)),
                Poll::Pending if self.ended => Poll::Ready(Err(end)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}
