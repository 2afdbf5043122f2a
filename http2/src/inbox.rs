//! The body of a request, between the connection and whoever reads it.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::{bell::Bell, code::Code};

/// The body of a request.
#[derive(Debug)]
pub struct Incoming(Arc<Inbox>);

/// The client, or its connection, has given up a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client has given up the request (HTTP/2 code {})", .0.0)]
pub struct Reset(pub Code);

/// One for each stream, which is also what wakes it.
#[derive(Debug)]
pub(crate) struct Inbox {
    stream: u32,
    bell: Arc<Bell>,
    /// It has rung, and was not looked at since.
    rung: AtomicBool,
    /// The connection looks at it, and will look for what was read.
    turn: AtomicBool,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    pieces: VecDeque<Bytes>,
    /// Boxed, as most have none.
    trailers: Option<Box<HeaderMap>>,
    end: End,
    /// Bytes that were read since the connection asked.
    read: u32,
    /// Of what its headers said there is.
    left: Option<u64>,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Whole,
    Reset(Code),
    /// Nobody reads it.
    Unread,
}

// === impl Inbox ===

impl Inbox {
    /// For a body of so many bytes, if that is known.
    pub(crate) fn new(stream: u32, bell: Arc<Bell>, left: Option<u64>) -> Arc<Self> {
        let inside = Inside { pieces: VecDeque::new(), trailers: None, end: End::Open, read: 0, left, reader: None };
        let (rung, turn) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { stream, bell, rung, turn, inside: Mutex::new(inside) })
    }

    pub(crate) fn body(self: &Arc<Self>) -> Incoming {
        Incoming(Arc::clone(self))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece of the body. Says whether somebody will read it.
    pub(crate) fn push(&self, piece: &[u8]) -> bool {
        let mut inside = self.inside();
        if inside.end != End::Open {
            return false;
        }
        inside.pieces.push_back(Bytes::copy_from_slice(piece));
        wake_reader(inside);
        true
    }

    /// The body has come whole.
    pub(crate) fn end(&self, trailers: Option<HeaderMap>) {
        let mut inside = self.inside();
        if inside.end == End::Open {
            (inside.end, inside.trailers) = (End::Whole, trailers.map(Box::new));
            wake_reader(inside);
        }
    }

    /// Nothing more comes, and what has come by half is nobody's any more: its bytes count as read where the stream was.
    pub(crate) fn reset(&self, code: Code) {
        let mut inside = self.inside();
        if inside.end == End::Open {
            (inside.end, inside.pieces) = (End::Reset(code), VecDeque::new());
            wake_reader(inside);
        }
    }

    /// The stream is looked at from here on, until [`Self::looked`].
    pub(crate) fn look(&self) {
        self.turn.store(true, SeqCst);
        self.rung.store(false, SeqCst);
    }

    /// The stream was looked at. What was read of its body since the last time.
    pub(crate) fn looked(&self) -> u32 {
        self.turn.store(false, SeqCst);
        std::mem::take(&mut self.inside().read)
    }
}

impl Wake for Inbox {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, SeqCst) {
            self.bell.ring(self.stream);
        }
    }
}

/// Wakes whoever reads. Not while the body is locked: what a waker drops may be its reader.
fn wake_reader(mut inside: MutexGuard<'_, Inside>) {
    let reader = inside.reader.take();
    drop(inside);
    if let Some(reader) = reader {
        reader.wake();
    }
}

// === impl Inside ===

impl Inside {
    fn count(&mut self, bytes: usize) {
        self.read = self.read.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX)); // bounded by the window
    }
}

// === impl Incoming ===

impl Body for Incoming {
    type Data = Bytes;
    type Error = Reset;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Reset>>> {
        let mut inside = self.0.inside();
        if let Some(piece) = inside.pieces.pop_front() {
            if inside.pieces.is_empty() {
                inside.pieces = VecDeque::new();
            }
            inside.count(piece.len());
            inside.left = inside.left.map(|left| left.saturating_sub(piece.len() as u64));
            if !self.0.turn.load(SeqCst) {
                self.0.wake_by_ref(); // it is read by another task
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match inside.end {
            End::Open | End::Unread => {
                let before = inside.reader.replace(cx.waker().clone());
                drop(inside);
                drop(before); // as above
                Poll::Pending
            }
            End::Whole => Poll::Ready(inside.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers)))),
            End::Reset(code) => {
                inside.end = End::Whole;
                Poll::Ready(Some(Err(Reset(code))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let inside = self.0.inside();
        inside.end == End::Whole && inside.pieces.is_empty() && inside.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let inside = self.0.inside();
        match (inside.left, inside.end) {
            (Some(left), _) => SizeHint::with_exact(left),
            (None, End::Whole) => SizeHint::with_exact(inside.pieces.iter().map(|piece| piece.len() as u64).sum()),
            (None, End::Open | End::Reset(_) | End::Unread) => SizeHint::default(),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut inside = self.0.inside();
        inside.end = match inside.end {
            End::Open => End::Unread,
            end => end,
        };
        let reader = inside.reader.take();
        let unread = std::mem::take(&mut inside.pieces).iter().map(Bytes::len).sum();
        inside.count(unread);
        drop(inside);
        drop(reader);
        if unread > 0 && !self.0.turn.load(SeqCst) {
            self.0.wake_by_ref();
        }
    }
}
