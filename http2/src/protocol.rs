//! Frames in, frames out: the state of a connection and of its streams, without I/O.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, response};
use tokio::time::Instant;

use crate::{
    Incoming, Limits,
    bell::Bell,
    code::{Code, Fault},
    frame::{
        self, CONTENT_BYTES_MAX, CONTINUATION, END_HEADERS, END_STREAM, HEADER_TABLE_SIZE, HEADERS,
        INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE, PING, RST_STREAM, WINDOW_UPDATE,
    },
    hpack::{Decoder, Encoder},
    inbox::Inbox,
    output::Output,
    stock::Stock,
    window::{Receiving, Sending},
};

mod blocks;
mod hear;

use self::blocks::Block;

/// The state of a connection.
#[derive(Debug)]
pub(crate) struct Protocol {
    limits: Limits,
    pub(crate) out: Output,
    /// Those that are open, by number.
    streams: Vec<Stream>,
    bell: Arc<Bell>,
    decoder: Decoder,
    encoder: Encoder,
    stock: Stock,
    /// Headers that have begun.
    block: Option<Block>,
    peer: Peer,
    sending: Sending,
    receiving: Receiving,
    /// The last stream that the client has opened.
    last: u32,
    /// The last one that was looked at.
    served: u32,
    /// A window has grown, and nobody has heard so yet.
    widened: bool,
    /// Streams that we have ended before their client did: what it has sent before it knew is passed over (RFC 9113 §5.1).
    cut_short: VecDeque<u32>,
    leaving: Leaving,
}

/// A stream: a request and its answer.
#[derive(Debug)]
struct Stream {
    id: u32,
    sending: Sending,
    receiving: Receiving,
    /// What of its body has come and is not read, in bytes.
    unread: u32,
    /// What of its body is to come, by its headers.
    left: Option<u64>,
    /// The request has come whole.
    whole: bool,
    inbox: Arc<Inbox>,
}

/// What the client has said of itself.
#[derive(Debug)]
struct Peer {
    /// Its settings have come, which are the first that it says.
    settled: bool,
    /// It has acknowledged ours.
    knows_us: bool,
    window: u32,
    /// It opens no more streams.
    leaves: bool,
}

/// How far a connection is on the way to its end (RFC 9113 §6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// The client was told; what it had opened before it heard so is served.
    Announced,
    /// No more streams are served.
    Last,
}

/// What a frame is to whoever drives this.
#[derive(Debug)]
pub(crate) enum Heard {
    Nothing,
    /// A request has come, and its body follows.
    Request(u32, Arc<Inbox>, Box<Request<Incoming>>),
    /// The client has given up a stream.
    Gone(u32),
}

/// Streams whose early end is remembered.
const CUT_SHORT_MAX: usize = 128;
/// By this ping the client has heard that we leave.
const LEAVING_PING: &[u8; 8] = b"leaving.";
/// As large as the number of a stream can be.
const STREAM_MAX: u32 = 0x7fff_ffff;

// === impl Protocol ===

impl Protocol {
    /// A connection that begins: what it says first is in [`Self::out`].
    pub(crate) fn new(limits: Limits, bell: Arc<Bell>, now: Instant) -> Self {
        let limits = limits.possible();
        let settings = [
            // Nothing is remembered: tokens are not to be kept, and most connections have one request.
            (HEADER_TABLE_SIZE, 0),
            (MAX_CONCURRENT_STREAMS, limits.streams_max),
            (INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
            (MAX_HEADER_LIST_SIZE, u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX)),
        ];
        let mut out = Output::default();
        out.put(|out| frame::settings(&settings, out));
        let more = limits.connection_window_bytes - Limits::WINDOW_BYTES_MIN;
        if more > 0 {
            out.put(|out| frame::short(WINDOW_UPDATE, 0, 0, &more.to_be_bytes(), out));
        }
        let window = Limits::WINDOW_BYTES_MIN; // RFC 9113 §6.9.2
        Self {
            limits,
            out,
            streams: Vec::new(),
            bell,
            decoder: Decoder::new(4096), // RFC 9113 §6.5.2
            encoder: Encoder::new(),
            stock: Stock::new(now),
            block: None,
            peer: Peer { settled: false, knows_us: false, window, leaves: false },
            sending: Sending::of(window),
            receiving: Receiving::of(limits.connection_window_bytes),
            last: 0,
            served: 0,
            widened: false,
            cut_short: VecDeque::new(),
            leaving: Leaving::No,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn place(&self, id: u32) -> Option<usize> {
        self.streams.binary_search_by_key(&id, |stream| stream.id).ok()
    }

    fn stream(&mut self, id: u32) -> Option<&mut Stream> {
        self.place(id).map(|at| &mut self.streams[at])
    }

    /// Whether streams may send more than they might when this was asked last.
    pub(crate) fn has_widened(&mut self) -> bool {
        std::mem::take(&mut self.widened)
    }

    /// Bytes that a stream may send now, in one frame: all clients take such frames, and other streams wait behind no larger ones.
    pub(crate) fn room(&self, id: u32) -> usize {
        let stream = self.place(id).map_or(0, |at| self.streams[at].sending.left());
        stream.min(self.sending.left()).min(CONTENT_BYTES_MAX)
    }

    /// The head of an answer, which may be all of it.
    pub(crate) fn respond(&mut self, id: u32, head: &response::Parts, last: bool) {
        let mut block = Vec::new();
        self.encoder.response(head.status, &head.headers, &mut block);
        self.stock.add(self.limits.frames_per_answer);
        self.send_block(id, &block, last);
    }

    /// What follows a body.
    pub(crate) fn trailers(&mut self, id: u32, trailers: &HeaderMap) {
        let mut block = Vec::new();
        self.encoder.trailers(trailers, &mut block);
        match block.is_empty() {
            true => self.data(id, Bytes::new(), true), // of no headers there would be no frame
            false => self.send_block(id, &block, true),
        }
    }

    fn send_block(&mut self, id: u32, block: &[u8], last: bool) {
        let parts = block.chunks(CONTENT_BYTES_MAX);
        let ends = parts.len().max(1) - 1;
        for (at, part) in parts.enumerate() {
            let kind = if at == 0 { HEADERS } else { CONTINUATION };
            let end_stream = if last && at == 0 { END_STREAM } else { 0 };
            let end_headers = if at == ends { END_HEADERS } else { 0 };
            self.out.put(|out| frame::short(kind, end_stream | end_headers, id, part, out));
        }
        if last {
            self.answered(id);
        }
    }

    /// A piece of a body, no larger than there is [`Self::room`].
    pub(crate) fn data(&mut self, id: u32, piece: Bytes, last: bool) {
        self.sending.spend(piece.len());
        if let Some(stream) = self.stream(id) {
            stream.sending.spend(piece.len());
        }
        self.stock.sent(piece.len());
        self.out.data(id, piece, last);
        if last {
            self.answered(id);
        }
    }

    /// A stream was answered whole. A request that has not come whole is not wanted any more (RFC 9113 §8.1).
    fn answered(&mut self, id: u32) {
        match self.stream(id) {
            Some(stream) if stream.whole => self.forget(id, Code::NO_ERROR),
            Some(_) => self.cut_short(id, Code::NO_ERROR),
            None => {}
        }
    }

    /// The answer cannot be given.
    pub(crate) fn fail(&mut self, id: u32) {
        self.cut_short(id, Code::INTERNAL_ERROR);
    }

    /// Ends a stream because of its client, who cannot have that done for ever.
    pub(crate) fn refuse(&mut self, id: u32, code: Code, now: Instant) -> Result<(), Fault> {
        self.cut_short(id, code);
        if self.stock.reset(now) { Ok(()) } else { Err(Fault::FLOOD) }
    }

    /// Ends a stream before its client does.
    fn cut_short(&mut self, id: u32, code: Code) {
        self.out.put(|out| frame::short(RST_STREAM, 0, id, &code.0.to_be_bytes(), out));
        self.pass_over(id);
        self.forget(id, code);
    }

    /// What comes of this stream from now on is passed over.
    fn pass_over(&mut self, id: u32) {
        if self.cut_short.len() == CUT_SHORT_MAX {
            self.cut_short.pop_front();
        }
        self.cut_short.push_back(id);
    }

    /// Whether this is to be passed over. Nothing is after the last that the client says on a stream.
    fn is_passed_over(&mut self, id: u32, last: bool) -> bool {
        let Some(at) = self.cut_short.iter().position(|cut| *cut == id) else { return false };
        if last {
            self.cut_short.remove(at);
        }
        if self.cut_short.is_empty() {
            self.cut_short = VecDeque::new();
        }
        true
    }

    /// A stream is no more. Whoever still reads its body is told so.
    fn forget(&mut self, id: u32, code: Code) {
        let Some(at) = self.place(id) else { return };
        let Stream { inbox, unread, .. } = self.streams.remove(at);
        if self.streams.is_empty() {
            self.streams = Vec::new(); // it may have been many
        }
        inbox.reset(code);
        self.read_by_all(unread);
    }

    /// So much of a body has been read.
    pub(crate) fn read(&mut self, id: u32, bytes: u32) {
        let Some(stream) = self.stream(id) else { return }; // it was counted when the stream ended
        let bytes = bytes.min(stream.unread);
        stream.unread -= bytes;
        self.read_by(id, bytes);
    }

    fn read_by(&mut self, id: u32, bytes: u32) {
        let stream = self.stream(id).filter(|stream| !stream.whole);
        if let Some(more) = stream.and_then(|stream| stream.receiving.read(bytes)) {
            self.out.put(|out| frame::short(WINDOW_UPDATE, 0, id, &more.to_be_bytes(), out));
        }
        self.read_by_all(bytes);
    }

    fn read_by_all(&mut self, bytes: u32) {
        if let Some(more) = self.receiving.read(bytes) {
            self.out.put(|out| frame::short(WINDOW_UPDATE, 0, 0, &more.to_be_bytes(), out));
        }
    }

    /// Asks the client whether it is there.
    pub(crate) fn ping(&mut self) {
        self.out.put(|out| frame::short(PING, 0, 0, b"rollcall", out));
    }

    /// Goes a step towards the end: streams that are open are served to theirs. Whether another step follows.
    pub(crate) fn leave(&mut self) -> bool {
        let (leaving, last) = match self.leaving {
            Leaving::No => (Leaving::Announced, STREAM_MAX),
            Leaving::Announced => (Leaving::Last, self.served),
            Leaving::Last => return false,
        };
        self.leaving = leaving;
        self.out.put(|out| frame::goaway(last, Code::NO_ERROR, "", out));
        if leaving == Leaving::Announced {
            self.out.put(|out| frame::short(PING, 0, 0, LEAVING_PING, out));
        }
        leaving == Leaving::Announced
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving != Leaving::No
    }

    /// Whether all is served that will be.
    pub(crate) fn is_over(&self) -> bool {
        (self.leaving == Leaving::Last || self.peer.leaves) && self.streams.is_empty() && self.out.is_empty()
    }

    /// Streams there is room for, bytes of headers that have begun, and what was read that the client was not told yet.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize, u32) {
        let block = self.block.as_ref().map_or(0, Block::capacity);
        (self.streams.capacity(), block, self.receiving.unsaid())
    }

    /// Ends the connection because of its client.
    pub(crate) fn give_up(&mut self, code: Code, words: &str) {
        let last = self.served;
        self.out.put(|out| frame::goaway(last, code, words, out));
        self.end_all(code);
    }

    fn end_all(&mut self, code: Code) {
        for Stream { inbox, .. } in std::mem::take(&mut self.streams) {
            inbox.reset(code);
        }
    }
}

/// Bodies may be read by other tasks, which nobody else would tell.
impl Drop for Protocol {
    fn drop(&mut self) {
        self.end_all(Code::CANCEL);
    }
}
