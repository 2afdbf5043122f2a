//! A request body, held to a deadline for each message that has begun, and to room for those that are large.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::{Status, codegen::StdError};

use super::{
    Server,
    budget::{Peer, Room},
    metrics::Refusal,
};
use crate::framed::HEAD_BYTES;

/// The body of a call. Messages pass as they come; one that has begun must come to its end in time, and has room taken for it
/// while it does not.
pub(super) struct Arriving<B> {
    inner: B,
    message: Message,
    /// While a message has begun: most of the time none has, and streams are many.
    open: Option<Box<Open>>,
    peer: Arc<Peer>,
}

/// What belongs to a message that has begun.
struct Open {
    late: Pin<Box<Sleep>>,
    room: Option<Room>,
    /// The beginning of the message, until there is room for the rest.
    waiting: Option<Waiting>,
}

struct Waiting {
    room: BoxFuture<'static, Option<Room>>,
    bytes: Bytes,
}

/// Where one message ends and the next begins (gRPC over HTTP/2, "Length-Prefixed-Message").
#[derive(Debug, Default)]
struct Message {
    head: [u8; HEAD_BYTES],
    head_len: usize,
    len: u32,
    left: u32,
    /// Counts messages that have begun.
    begun: u64,
}

/// Messages up to this need no room: acknowledgements, and most subscriptions.
const SMALL: u32 = 4096;

// === impl Message ===

impl Message {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passed = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= u32::try_from(passed).unwrap_or(self.left);
            bytes = &bytes[passed..];
            let part = bytes.len().min(HEAD_BYTES - self.head_len);
            self.begun += u64::from(part > 0 && self.head_len == 0);
            self.head[self.head_len..self.head_len + part].copy_from_slice(&bytes[..part]);
            self.head_len += part;
            bytes = &bytes[part..];
            if self.head_len == HEAD_BYTES {
                let [_compressed, len @ ..] = self.head;
                self.len = u32::from_be_bytes(len);
                self.left = self.len;
                self.head_len = 0;
            }
        }
    }

    fn is_open(&self) -> bool {
        self.left > 0 || self.head_len > 0
    }

    /// Bytes that room is to be taken for. A message that is too large is refused by its reader.
    fn needs_room(&self) -> Option<u32> {
        let fits = usize::try_from(self.len).is_ok_and(|len| len <= Server::REQUEST_BYTES_MAX);
        (self.left > 0 && self.len > SMALL && fits).then_some(self.len)
    }
}

// === impl Arriving ===

impl<B> Arriving<B> {
    pub(super) fn new(inner: B, peer: Arc<Peer>) -> Self {
        Self { inner, message: Message::default(), open: None, peer }
    }

    /// Notes what came, and hands it on if it may.
    fn arrived(&mut self, bytes: Bytes) -> Option<Bytes> {
        let before = self.message.begun;
        self.message.take(&bytes);
        if !self.message.is_open() {
            self.open = None;
            return Some(bytes);
        }
        if self.message.begun != before {
            self.open = None;
        }
        let patience = self.peer.patience();
        let open = self.open.get_or_insert_with(|| Box::new(Open::new(patience)));
        match self.message.needs_room() {
            Some(len) if open.room.is_none() => {
                let room = Arc::clone(&self.peer).room(len);
                open.waiting = Some(Waiting { room: Box::pin(room), bytes });
                None
            }
            _ => Some(bytes),
        }
    }

    /// The beginning of a message, once there is room for all of it.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        let open = self.open.as_mut()?;
        let mut waiting = open.waiting.take()?;
        match waiting.room.as_mut().poll(cx) {
            Poll::Ready(room) => {
                **open = Open { room, ..Open::new(self.peer.patience()) };
                Some(waiting.bytes)
            }
            Poll::Pending => {
                open.waiting = Some(waiting);
                None
            }
        }
    }

    fn is_waiting(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.waiting.is_some())
    }

    /// Pending until it is too late.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let Some(open) = &mut self.open else { return Poll::Pending };
        ready!(open.late.as_mut().poll(cx));
        let (len, patience) = (self.message.len, self.peer.patience());
        let status = if self.is_waiting() {
            self.peer.refused(Refusal::Crowded);
            Status::resource_exhausted(format!(
                "no room for a request of {len} bytes within {patience:?}: others' requests have come by half; try another \
                 replica"
            ))
        } else {
            self.peer.refused(Refusal::Late);
            Status::deadline_exceeded(format!("a request that has begun has not come to its end within {patience:?}"))
        };
        Poll::Ready(Some(Err(status.into())))
    }
}

// === impl Open ===

impl Open {
    fn new(patience: Duration) -> Self {
        Self { late: Box::pin(sleep(patience)), room: None, waiting: None }
    }
}

impl<B> Body for Arriving<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = self.get_mut();
        loop {
            if this.is_waiting() {
                return match this.poll_room(cx) {
                    Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    None => this.poll_late(cx),
                };
            }
            match Pin::new(&mut this.inner).poll_frame(cx) {
                Poll::Pending => return this.poll_late(cx),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => {
                        if let Some(bytes) = this.arrived(bytes) {
                            return Poll::Ready(Some(Ok(Frame::data(bytes))));
                        }
                    }
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(None) => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.is_waiting() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_the_bytes_are_cut() {
        let message = |len: u8| [&[0, 0, 0, 0, len][..], &vec![7; usize::from(len)]].concat();
        let bytes = [message(3), message(0), message(200)].concat();
        for cut in 1..=bytes.len() {
            let mut read = Message::default();
            bytes.chunks(cut).for_each(|part| read.take(part));
            assert!(!read.is_open() && read.begun == 3, "cut at {cut}: {read:?}");
        }
        let mut read = Message::default();
        read.take(&bytes[..7]);
        assert!(read.is_open() && read.begun == 1);
    }
}
