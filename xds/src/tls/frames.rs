//! HTTP/2 frames, counted as they pass: the library below answers each PING and SETTINGS, as the protocol wants it, and has
//! no bound for their rate. A client that only floods would take a core.

use tokio::time::{Duration, Instant};

/// Bytes of a frame's head (RFC 9113 §4.1).
const HEAD_BYTES: usize = 9;
/// The type of frames that carry requests and responses (RFC 9113 §6.1).
const DATA: u8 = 0;
/// A request is longer than this; what is shorter is noise.
const REQUEST_BYTES_MIN: u32 = 16;

/// Finds the frames in a stream of bytes. It holds no more than the head of one.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes to pass over: of the preface at first, then of a frame's content.
    skip: u32,
    head: [u8; HEAD_BYTES],
    head_len: u8,
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

// === impl Frames ===

impl Frames {
    /// After so many bytes that are none.
    pub(super) fn after(preface_bytes: u32) -> Self {
        Self { skip: preface_bytes, head: [0; HEAD_BYTES], head_len: 0 }
    }

    /// Calls `each` with the type and length of every frame that begins in `bytes`.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut each: impl FnMut(u8, u32)) {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= u32::try_from(skipped).unwrap_or(self.skip);
            bytes = &bytes[skipped..];
            let have = usize::from(self.head_len);
            let part = bytes.len().min(HEAD_BYTES - have);
            self.head[have..have + part].copy_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            if have + part < HEAD_BYTES {
                self.head_len = u8::try_from(have + part).unwrap_or(0);
                continue;
            }
            let [high, middle, low, ty, ..] = self.head;
            self.head_len = 0;
            self.skip = u32::from_be_bytes([0, high, middle, low]);
            each(ty, self.skip);
        }
    }
}

// === impl Stock ===

impl Stock {
    pub(super) fn new() -> Self {
        Self { left: STOCK_MAX, filled: Instant::now() }
    }

    /// A frame from the client. Says whether it may go on.
    pub(super) fn received(&mut self, ty: u8, len: u32) -> bool {
        if ty == DATA && len >= REQUEST_BYTES_MIN {
            return true; // what requests may cost is bounded where they are understood
        }
        if self.left == 0 {
            self.fill(Instant::now());
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    /// A frame to the client.
    pub(super) fn sent(&mut self, ty: u8, len: u32) {
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

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let ping = frame(PING, &[0; 8]);
        let bytes = [&b"PRI"[..], &frame(4, &[]), &ping, &frame(DATA, &[7; 300]), &ping].concat();
        for cut in 1..=bytes.len() {
            let (mut frames, mut seen) = (Frames::after(3), Vec::new());
            bytes.chunks(cut).for_each(|part| frames.pass(part, |ty, len| seen.push((ty, len))));
            assert_eq!(seen, [(4, 0), (PING, 8), (DATA, 300), (PING, 8)], "cut at {cut}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_ends_and_a_client_that_measures_what_it_is_sent_goes_on() {
        let mut stock = Stock::new();
        let answered = (0..).take_while(|_| stock.received(PING, 8)).count();
        assert_eq!(answered, STOCK_MAX as usize);
        assert!(stock.received(DATA, 70), "a request is no noise");
        stock.sent(DATA, 16_384);
        let answered = (0..).take_while(|_| stock.received(PING, 8)).count();
        assert_eq!(answered, 24);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((0..).take_while(|_| stock.received(DATA, 1)).count(), 2 * PER_SECOND as usize);
    }
}
