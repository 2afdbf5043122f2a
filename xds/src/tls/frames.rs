//! HTTP/2 frames, counted as they pass: the library below answers each PING and SETTINGS, as the protocol wants it, decodes
//! each byte of headers, also of calls that are too large or reset at once, and has no bound for their rate. A client that
//! only floods would take a core.

use tokio::time::{Duration, Instant};

/// Bytes of a frame's head (RFC 9113 §4.1).
const HEAD_BYTES: usize = 9;
/// The head of a GOAWAY, and its last stream and reason.
const GOAWAY_BYTES: usize = HEAD_BYTES + 8;
/// The type of frames that carry requests and responses (RFC 9113 §6.1).
const DATA: u8 = 0;
/// Those of headers, of a call that is given up, and of a connection that is.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// The reasons for which a connection ends in order, and because it was flooded (RFC 9113 §7).
const NO_ERROR: u32 = 0;
const ENHANCE_YOUR_CALM: u32 = 11;
/// A request is longer than this; what is shorter is noise.
const REQUEST_BYTES_MIN: u32 = 16;

/// Finds the frames in a stream of bytes. It holds no more than the head of one.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes to pass over: of the preface at first, then of a frame's content.
    skip: u32,
    head: [u8; GOAWAY_BYTES],
    head_len: u8,
}

/// A frame, as far as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    ty: u8,
    len: u32,
    /// Of a GOAWAY.
    reason: u32,
}

/// Why a connection ends that its client broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It was too much.
    Flood,
    /// It was no HTTP/2.
    Nonsense,
}

/// What a connection may cost beside its requests: frames come out of a stock that fills by time, and by what is sent to the
/// client, since clients measure the line (PING) and make room (WINDOW_UPDATE) as they receive.
#[derive(Debug)]
pub(super) struct Stock {
    left: u32,
    filled: Instant,
}

/// Frames that a connection may send at once. Clients send some ten at their start.
const STOCK_MAX: u32 = 4096;
/// What it may send for ever: a hundredth of what would be felt.
const PER_SECOND: u32 = 100;
/// For each frame of data sent to it, and for each KiB in it.
const PER_SENT: u32 = 8;
/// So many bytes of headers cost as much as a frame: each byte may stand for a whole field of the table. A call with a token
/// costs some twenty frames.
const HEADER_BYTES: u32 = 64;
/// What a call costs that its client gives up.
const PER_RESET: u32 = 8;

// === impl Frames ===

impl Frames {
    /// After so many bytes that are none.
    pub(super) fn after(preface_bytes: u32) -> Self {
        Self { skip: preface_bytes, head: [0; GOAWAY_BYTES], head_len: 0 }
    }

    /// Calls `each` with every frame that begins in `bytes`.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= u32::try_from(skipped).unwrap_or(self.skip);
            bytes = &bytes[skipped..];
            let (have, wanted) = (usize::from(self.head_len), self.wanted());
            let part = bytes.len().min(wanted - have);
            self.head[have..have + part].copy_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            self.head_len = u8::try_from(have + part).unwrap_or(0);
            // A GOAWAY turns out to be one when its head is whole, and is looked at further.
            if have + part == wanted && wanted == self.wanted() {
                let frame = self.frame();
                self.skip = frame.len + HEAD_BYTES as u32 - wanted as u32;
                (self.head, self.head_len) = ([0; GOAWAY_BYTES], 0);
                each(frame);
            }
        }
    }

    /// Bytes of the frame that begins, as far as they matter.
    fn wanted(&self) -> usize {
        let whole = usize::from(self.head_len) >= HEAD_BYTES;
        let Frame { ty, len, .. } = self.frame();
        if whole && ty == GOAWAY && len as usize >= GOAWAY_BYTES - HEAD_BYTES { GOAWAY_BYTES } else { HEAD_BYTES }
    }

    fn frame(&self) -> Frame {
        let [high, middle, low, ty, ..] = self.head;
        let [.., a, b, c, d] = self.head;
        let reason = if ty == GOAWAY { u32::from_be_bytes([a, b, c, d]) } else { NO_ERROR };
        Frame { ty, len: u32::from_be_bytes([0, high, middle, low]), reason }
    }
}

// === impl Frame ===

impl Frame {
    /// What of a client's doing ends the connection with this frame, which is to the client.
    pub(super) fn fault(self) -> Option<Fault> {
        match self {
            Self { ty: GOAWAY, reason: ENHANCE_YOUR_CALM, .. } => Some(Fault::Flood),
            Self { ty: GOAWAY, reason, .. } if reason != NO_ERROR => Some(Fault::Nonsense),
            _ => None,
        }
    }
}

// === impl Stock ===

impl Stock {
    pub(super) fn new() -> Self {
        Self { left: STOCK_MAX, filled: Instant::now() }
    }

    /// A frame from the client. Says whether it may go on.
    pub(super) fn received(&mut self, Frame { ty, len, .. }: Frame) -> bool {
        let cost = match ty {
            DATA if len >= REQUEST_BYTES_MIN => return true, // what requests may cost is bounded where they are understood
            HEADERS | CONTINUATION => 1 + len / HEADER_BYTES,
            RST_STREAM => PER_RESET,
            _ => 1,
        };
        if self.left == 0 {
            self.fill(Instant::now());
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(cost);
        may
    }

    /// A frame to the client.
    pub(super) fn sent(&mut self, Frame { ty, len, .. }: Frame) {
        if ty == DATA {
            self.left = self.left.saturating_add(PER_SENT + len / 1024).min(STOCK_MAX);
        }
    }

    fn fill(&mut self, now: Instant) {
        let seconds = now.duration_since(self.filled).min(Duration::from_secs(3600)).as_secs();
        if seconds > 0 {
            self.filled = now;
            self.left = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(PER_SECOND).min(STOCK_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    fn frame(ty: u8, content: &[u8]) -> Vec<u8> {
        let len = u32::try_from(content.len()).expect("short").to_be_bytes();
        [&len[1..], &[ty, 0, 0, 0, 0, 0], content].concat()
    }

    fn of(ty: u8, len: u32) -> Frame {
        Frame { ty, len, reason: NO_ERROR }
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let ping = frame(PING, &[0; 8]);
        let away = [0, 0, 0, 1, 0, 0, 0, 11, b'w', b'h', b'y'];
        let bytes = [
            &b"PRI"[..],
            &frame(4, &[]),
            &ping,
            &frame(DATA, &[7; 300]),
            &frame(GOAWAY, &away),
            &frame(GOAWAY, &[1]),
            &ping,
        ];
        let bytes = bytes.concat();
        for cut in 1..=bytes.len() {
            let (mut frames, mut seen) = (Frames::after(3), Vec::new());
            bytes.chunks(cut).for_each(|part| frames.pass(part, |frame| seen.push(frame)));
            let types: Vec<_> = seen.iter().map(|frame| (frame.ty, frame.len)).collect();
            let expected = [(4, 0), (PING, 8), (DATA, 300), (GOAWAY, 11), (GOAWAY, 1), (PING, 8)];
            assert_eq!(types, expected, "cut at {cut}");
            assert_eq!(seen[3].fault(), Some(Fault::Flood), "cut at {cut}");
        }
    }

    #[test]
    fn what_ends_a_connection_is_told_apart() {
        let fault = |reason| Frame { reason, ..of(GOAWAY, 8) }.fault();
        assert_eq!([0, 1, 11].map(fault), [None, Some(Fault::Nonsense), Some(Fault::Flood)]);
    }

    #[tokio::test(start_paused = true)]
    async fn headers_cost_by_the_byte_and_calls_that_are_given_up_more_than_others() {
        let begun = |frame: Frame| {
            let mut stock = Stock::new();
            (0..).take_while(|_| stock.received(frame)).count()
        };
        assert_eq!(begun(of(HEADERS, 16_384)), 16, "256 KiB at once");
        assert_eq!(begun(of(CONTINUATION, 0)), STOCK_MAX as usize);
        assert_eq!(begun(of(RST_STREAM, 4)), 512);
        let mut stock = Stock::new();
        let calls = (0..100).all(|_| stock.received(of(HEADERS, 1_500)) && stock.received(of(DATA, 200)));
        assert!(calls, "a hundred calls with tokens at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_ends_and_a_client_that_measures_what_it_is_sent_goes_on() {
        let mut stock = Stock::new();
        let answered = (0..).take_while(|_| stock.received(of(PING, 8))).count();
        assert_eq!(answered, STOCK_MAX as usize);
        assert!(stock.received(of(DATA, 70)), "a request is no noise");
        stock.sent(of(DATA, 16_384));
        let answered = (0..).take_while(|_| stock.received(of(PING, 8))).count();
        assert_eq!(answered, 24);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((0..).take_while(|_| stock.received(of(DATA, 1))).count(), 2 * PER_SECOND as usize);
    }
}
