//! A client that keeps to the protocol and counts strictly, and what it must see.

use super::*;
use crate::{
    frame::{
        self, ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Head, INITIAL_WINDOW_SIZE, PING, PREFACE,
        RST_STREAM, SETTINGS, WINDOW_UPDATE,
    },
    hpack::Decoder,
};

pub(super) struct Client {
    /// What is to go to the server, and what came from it by half.
    out: Vec<u8>,
    begun: Vec<u8>,
    streams: BTreeMap<u32, Stream>,
    next: u32,
    /// What it may send, and what it may be sent.
    room: i64,
    window: i64,
    /// Settings that are not acknowledged: the window, and the first stream that was opened after it.
    settings: Vec<(i64, u32)>,
    initial: i64,
    pings: usize,
    /// The last stream that is served, when the server leaves.
    last: u32,
    decoder: Decoder,
}

#[derive(Debug)]
struct Stream {
    mode: Mode,
    room: i64,
    window: i64,
    sent: usize,
    came: usize,
    /// It has said all; it was told all; it was ended early, by whom does not matter.
    whole: bool,
    answered: bool,
    cut: bool,
}

/// Bytes of bodies that are brought to their end.
const LONG: usize = 120_000;

impl Client {
    pub(super) fn new() -> Self {
        let mut out = PREFACE.to_vec();
        frame::settings(&[], &mut out);
        Self {
            out,
            begun: Vec::new(),
            streams: BTreeMap::new(),
            next: 1,
            room: 65_535,
            window: 65_535,
            settings: vec![(65_535, 1)],
            initial: 65_535,
            pings: 0,
            last: u32::MAX,
            decoder: Decoder::new(4096),
        }
    }

    fn say(&mut self, kind: u8, flags: u8, stream: u32, content: &[u8]) {
        frame::short(kind, flags, stream, content, &mut self.out);
    }

    /// The next bytes to the server.
    pub(super) fn takes(&mut self, bytes: usize) -> Vec<u8> {
        self.out.drain(..bytes.min(self.out.len())).collect()
    }

    fn pick(&self, pick: usize, open: impl Fn(&Stream) -> bool) -> Option<u32> {
        let open: Vec<_> = self.streams.iter().filter(|(_, stream)| !stream.cut && open(stream)).collect();
        open.get(pick % open.len().max(1)).map(|(id, _)| **id)
    }

    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Open(mode) => self.open(mode),
            Act::Data { pick, bytes, padding, last } => {
                if let Some(id) = self.pick(pick, |stream| !stream.whole) {
                    self.send(id, bytes, padding, last);
                }
            }
            Act::Trailers(pick) => {
                if let Some(id) = self.pick(pick, |stream| !stream.whole) {
                    self.say(HEADERS, END_HEADERS | END_STREAM, id, b"\x00\x01a\x01b");
                    self.stream(id).whole = true;
                }
            }
            Act::Reset(pick) => {
                if let Some(id) = self.pick(pick, |stream| !(stream.whole && stream.answered)) {
                    self.reset(id);
                }
            }
            Act::Room { pick, more } => {
                if let Some(id) = self.pick(pick, |stream| !stream.answered) {
                    self.say(WINDOW_UPDATE, 0, id, &more.to_be_bytes());
                    self.stream(id).window += i64::from(more);
                }
            }
            Act::RoomForAll(more) => {
                self.say(WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
                self.window += i64::from(more);
            }
            Act::Window(window) => {
                frame::settings(&[(INITIAL_WINDOW_SIZE, window)], &mut self.out);
                self.settings.push((window.into(), self.next));
            }
            Act::Ping => {
                self.say(PING, 0, 0, b"are you?");
                self.pings += 1;
            }
            Act::ShutDown | Act::Pass(..) | Act::Elsewhere => {}
        }
    }

    fn stream(&mut self, id: u32) -> &mut Stream {
        self.streams.get_mut(&id).expect("it was opened")
    }

    fn open(&mut self, mode: Mode) {
        if self.last != u32::MAX {
            return;
        }
        let window = self.settings.last().map_or(self.initial, |(window, _)| *window);
        let (room, id) = (65_535, self.next);
        self.next += 2;
        let stream = Stream { mode, room, window, sent: 0, came: 0, whole: false, answered: false, cut: false };
        self.streams.insert(id, stream);
        let path = MODES.iter().position(|other| *other == mode).expect("one of them");
        let path = format!("/{path}?{id}");
        let block = [&b"\x83\x86\x04"[..], &[path.len() as u8], path.as_bytes()].concat();
        self.say(HEADERS, END_HEADERS, id, &block);
    }

    fn reset(&mut self, id: u32) {
        self.say(RST_STREAM, 0, id, &Code::CANCEL.0.to_be_bytes());
        self.stream(id).cut = true;
    }

    fn send(&mut self, id: u32, bytes: usize, padding: u8, last: bool) {
        let room = self.room.min(self.streams[&id].room).clamp(0, 16_384) as usize;
        let padding = if usize::from(padding) + 1 < room { padding } else { 0 };
        let cost = if padding > 0 { 1 + usize::from(padding) } else { 0 };
        let (from, bytes) = (self.streams[&id].sent, bytes.min(room - cost.min(room)));
        let body: Vec<u8> = (from..from + bytes).map(|at| byte(id, at)).collect();
        let end = if last { END_STREAM } else { 0 };
        match padding {
            0 => self.say(DATA, end, id, &body),
            _ => self.say(DATA, end | 8, id, &[&[padding][..], &body, &vec![0; padding.into()]].concat()),
        }
        self.room -= (bytes + cost) as i64;
        let stream = self.stream(id);
        stream.room -= (bytes + cost) as i64;
        stream.sent += bytes;
        stream.whole = last;
    }

    /// What the server says.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        let bytes = [std::mem::take(&mut self.begun), bytes.to_vec()].concat();
        let mut rest = &bytes[..];
        while let frame::Cut::Frame(head, content, after) = frame::cut(rest).expect("frames of a size that all take") {
            self.understand(head, content);
            rest = after;
        }
        self.begun = rest.to_vec();
    }

    fn understand(&mut self, head: Head, content: &[u8]) {
        let number = |at: usize| u32::from_be_bytes(content[at..at + 4].try_into().expect("a number"));
        match head.kind {
            SETTINGS if head.has(ACK) => self.acknowledged(),
            SETTINGS => self.say(SETTINGS, ACK, 0, &[]),
            PING if head.has(ACK) => self.pings = self.pings.checked_sub(1).expect("a ping that was asked"),
            PING => self.say(PING, ACK, 0, content),
            GOAWAY => {
                assert_eq!(number(4), 0, "{}", String::from_utf8_lossy(&content[8..]));
                self.leave(number(0));
            }
            WINDOW_UPDATE if head.stream == 0 => {
                self.room += i64::from(number(0));
                assert!(self.room <= 100_000, "more room than there was");
            }
            WINDOW_UPDATE => self.stream(head.stream).room += i64::from(number(0)),
            RST_STREAM => {
                let stream = self.stream(head.stream);
                let refused = number(0) == Code::REFUSED_STREAM.0 && stream.came == 0;
                assert!(refused || (number(0) == 0 && stream.answered), "{head:?} {} {stream:?}", number(0));
                stream.cut = true;
            }
            HEADERS => {
                self.decoder.decode(content, &mut |_, _| {}).expect("a block");
                self.ended(head);
            }
            DATA => self.came(head, content),
            kind => panic!("a frame of kind {kind}"),
        }
    }

    fn acknowledged(&mut self) {
        let (window, opened) = self.settings.remove(0);
        let more = window - self.initial;
        self.initial = window;
        self.streams.range_mut(..opened).for_each(|(_, stream)| stream.window += more);
    }

    fn leave(&mut self, last: u32) {
        self.last = last;
        self.streams.range_mut(last + 1..).for_each(|(_, stream)| stream.cut = true);
    }

    fn came(&mut self, head: Head, content: &[u8]) {
        let len = i64::from(head.len);
        self.window -= len;
        assert!(len == 0 || self.window >= 0, "more than the connection's window");
        let stream = self.stream(head.stream);
        stream.window -= len;
        assert!(len == 0 || stream.window >= 0, "more than the stream's window: {stream:?}");
        assert!(!stream.answered, "something after the end");
        for (at, octet) in content.iter().enumerate() {
            assert_eq!(*octet, byte(head.stream, stream.came + at), "at {} of {stream:?}", stream.came + at);
        }
        stream.came += content.len();
        self.ended(head);
    }

    fn ended(&mut self, head: Head) {
        let stream = self.stream(head.stream);
        stream.answered |= head.has(END_STREAM);
        if head.has(END_STREAM) && !stream.cut {
            let whole = if stream.mode == Mode::AtOnce { server::AT_ONCE } else { stream.sent };
            assert_eq!(stream.came, whole, "{stream:?}");
        }
    }

    /// Brings what was begun a step nearer to its end.
    pub(super) fn goes_on(&mut self, step: usize) {
        match step {
            0 => self.act(Act::RoomForAll(8 << 20)),
            5 => self.act(Act::Window(1 << 20)),
            _ => {}
        }
        for id in self.streams.keys().copied().collect::<Vec<_>>() {
            let Stream { mode, whole, answered, cut, sent, .. } = self.streams[&id];
            if cut || (whole && answered) {
                continue;
            }
            if mode == Mode::Never {
                self.reset(id);
                continue;
            }
            if !whole {
                self.send(id, 16_384, 0, sent >= LONG); // so long that it has to be given room
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.has_all() && self.pings == 0 && self.settings.is_empty() && self.out.is_empty()
    }

    /// Whether it was told that the server leaves.
    pub(super) fn was_told(&self) -> bool {
        self.last != u32::MAX
    }

    pub(super) fn has_all(&self) -> bool {
        self.streams.values().all(|stream| stream.cut || (stream.whole && stream.answered))
    }

    /// What the server has to have given back, or keeps to give it back with more.
    pub(super) fn room(&self) -> i64 {
        self.room
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let done = |stream: &Stream| stream.cut || (stream.whole && stream.answered);
        let open: Vec<_> = self.streams.iter().filter(|(_, stream)| !done(stream)).collect();
        f.debug_struct("Client").field("open", &open).field("pings", &self.pings).field("window", &self.window).finish()
    }
}
