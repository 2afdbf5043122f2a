//! What a client may cost beside its requests: each PING and SETTINGS wants an answer, each byte of headers is decoded, also of calls
//! that are too large or given up at once, and the protocol has no bound for their rate. Whoever only floods would take a core.

use tokio::time::{Duration, Instant};

use crate::frame::{CONTINUATION, DATA, HEADERS, Head, RST_STREAM, SETTINGS};

/// Frames come out of a stock that fills by time, and by what is sent to the client, since clients measure the line (PING) and
/// make room (WINDOW_UPDATE) as they receive.
#[derive(Debug)]
pub(crate) struct Stock {
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
/// costs some twenty frames. Six of settings may change all windows.
const HEADER_BYTES: u32 = 64;
/// What a call costs that its client gives up, or has us give up (CVE-2023-44487, CVE-2025-8671).
const PER_RESET: u32 = 8;
/// A request is longer than this; what is shorter is noise.
const REQUEST_BYTES_MIN: u32 = 16;

// === impl Stock ===

impl Stock {
    pub(crate) fn new(now: Instant) -> Self {
        Self { left: STOCK_MAX, filled: now }
    }

    /// A frame from the client. Says whether it may go on.
    pub(crate) fn received(&mut self, Head { kind, len, .. }: Head, now: Instant) -> bool {
        match kind {
            DATA if len >= REQUEST_BYTES_MIN => true, // what requests may cost is bounded where they are understood
            HEADERS | CONTINUATION | SETTINGS => self.pay(1 + len / HEADER_BYTES, now),
            RST_STREAM => self.pay(PER_RESET, now),
            _ => self.pay(1, now),
        }
    }

    /// A stream that we had to reset. Says whether its client may go on.
    pub(crate) fn reset(&mut self, now: Instant) -> bool {
        self.pay(PER_RESET, now)
    }

    /// A frame of data to the client.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.add(PER_SENT + u32::try_from(bytes / 1024).unwrap_or(0));
    }

    /// So many frames more.
    pub(crate) fn add(&mut self, frames: u32) {
        self.left = self.left.saturating_add(frames).min(STOCK_MAX);
    }

    fn pay(&mut self, cost: u32, now: Instant) -> bool {
        if self.left == 0 {
            self.fill(now);
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(cost);
        may
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
    use crate::frame::PING;

    fn of(kind: u8, len: u32) -> Head {
        Head { len, kind, flags: 0, stream: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn headers_cost_by_the_byte_and_calls_that_are_given_up_more_than_others() {
        let now = Instant::now();
        let begun = |frame: Head| {
            let mut stock = Stock::new(now);
            (0..).take_while(|_| stock.received(frame, now)).count()
        };
        assert_eq!(begun(of(HEADERS, 16_384)), 16, "256 KiB at once");
        assert_eq!(begun(of(CONTINUATION, 0)), STOCK_MAX as usize);
        assert_eq!(begun(of(RST_STREAM, 4)), 512);
        let mut stock = Stock::new(now);
        let calls = (0..100).all(|_| stock.received(of(HEADERS, 1_500), now) && stock.received(of(DATA, 200), now));
        assert!(calls, "a hundred calls with tokens at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_ends_and_a_client_that_measures_what_it_is_sent_goes_on() {
        let now = Instant::now();
        let mut stock = Stock::new(now);
        let answered = (0..).take_while(|_| stock.received(of(PING, 8), now)).count();
        assert_eq!(answered, STOCK_MAX as usize);
        assert!(stock.received(of(DATA, 70), now), "a request is no noise");
        stock.sent(16_384);
        let answered = (0..).take_while(|_| stock.received(of(PING, 8), now)).count();
        assert_eq!(answered, 24);
        let later = now + Duration::from_secs(2);
        assert_eq!((0..).take_while(|_| stock.received(of(DATA, 1), later)).count(), 2 * PER_SECOND as usize);
    }
}
