//! What is done for a stream: its service's future, then the body of its answer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{
    Response,
    header::{CONTENT_LENGTH, DATE},
};
use http_body::Body;

use crate::{date, inbox::Inbox, protocol::Protocol};

/// A stream that is served.
pub(crate) struct Work<F, B> {
    pub(crate) stream: u32,
    /// It stands among those that are due, or that wait for a window.
    pub(crate) is_due: bool,
    pub(crate) is_full: bool,
    inbox: Arc<Inbox>,
    /// The request was HEAD: the answer has no body.
    bare: bool,
    step: Step<F, B>,
    /// What the body gave, and the client's window had no room for.
    piece: Bytes,
}

enum Step<F, B> {
    Answering(Pin<Box<F>>),
    Sending(B),
}

/// How far a stream came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It rings when it can go on.
    Waits,
    /// It could go on, and others are to have their turn.
    Goes,
    /// It has something to send, and no window.
    Full,
    /// The same, after it has sent something.
    Spent,
    Done,
}

/// Pieces that are asked for or sent in a turn. A body may have any number of them that are empty.
const STEPS: usize = 8;

// === impl Work ===

impl<F, B> Work<F, B>
where
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes> + Unpin,
{
    pub(crate) fn new(stream: u32, inbox: Arc<Inbox>, bare: bool, answer: F) -> Self {
        let step = Step::Answering(Box::pin(answer));
        Self { stream, is_due: false, is_full: false, inbox, bare, step, piece: Bytes::new() }
    }

    /// Goes on as far as it can.
    pub(crate) fn turn(&mut self, protocol: &mut Protocol) -> Turn {
        self.inbox.look();
        let waker = Waker::from(Arc::clone(&self.inbox));
        let turn = self.go_on(protocol, &mut Context::from_waker(&waker));
        protocol.read(self.stream, self.inbox.looked());
        turn
    }

    fn go_on(&mut self, protocol: &mut Protocol, cx: &mut Context<'_>) -> Turn {
        if let Step::Answering(answer) = &mut self.step {
            let Poll::Ready(response) = answer.as_mut().poll(cx) else { return Turn::Waits };
            let (mut head, body) = response.into_parts();
            let last = self.bare || body.is_end_stream();
            if let Some(len) = body.size_hint().exact().filter(|_| !last) {
                head.headers.entry(CONTENT_LENGTH).or_insert_with(|| len.into());
            }
            if let Some(date) = date::now() {
                head.headers.entry(DATE).or_insert(date);
            }
            protocol.respond(self.stream, &head, last);
            if last {
                return Turn::Done;
            }
            self.step = Step::Sending(body);
        }
        let mut sent = false;
        for _ in 0..STEPS {
            let room = protocol.room(self.stream);
            if room == 0 && !self.needs_no_room() {
                return if sent { Turn::Spent } else { Turn::Full };
            }
            if protocol.out.is_full() {
                break;
            }
            sent |= !self.piece.is_empty();
            if let Some(turn) = self.send(room, protocol, cx) {
                return turn;
            }
        }
        Turn::Goes
    }

    /// All that is to come is an end, or trailers, for which no window is needed (RFC 9113 §6.9).
    fn needs_no_room(&self) -> bool {
        match &self.step {
            Step::Sending(body) if self.piece.is_empty() => body.is_end_stream() || body.size_hint().upper() == Some(0),
            Step::Sending(_) | Step::Answering(_) => false,
        }
    }

    /// Sends what is there, or asks for more. Where it leads, if it does not go on.
    fn send(&mut self, room: usize, protocol: &mut Protocol, cx: &mut Context<'_>) -> Option<Turn> {
        let Step::Sending(body) = &mut self.step else { return None }; // which is the case
        if !self.piece.is_empty() {
            let part = self.piece.split_to(room.min(self.piece.len()));
            let last = self.piece.is_empty() && body.is_end_stream();
            if self.piece.is_empty() {
                self.piece = Bytes::new(); // it keeps all that it was a part of
            }
            protocol.data(self.stream, part, last);
            return last.then_some(Turn::Done);
        }
        match Pin::new(body).poll_frame(cx) {
            Poll::Pending => return Some(Turn::Waits),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data().map_err(http_body::Frame::into_trailers) {
                Ok(piece) => {
                    self.piece = piece;
                    return None;
                }
                Err(Ok(trailers)) => protocol.trailers(self.stream, &trailers),
                Err(Err(_)) => return None, // of a kind that is not known yet
            },
            Poll::Ready(None) => protocol.data(self.stream, Bytes::new(), true),
            Poll::Ready(Some(Err(_))) => protocol.fail(self.stream),
        }
        Some(Turn::Done)
    }
}

impl<F, B> std::fmt::Debug for Work<F, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("stream", &self.stream).finish_non_exhaustive()
    }
}
