//! What frames say that are about the connection, its windows and the ends of streams.

use tokio::time::Instant;

use super::{Heard, LEAVING_PING, Leaving, Protocol};
use crate::{
    code::{Code, Fault},
    frame::{
        self, ACK, CONTINUATION, DATA, ENABLE_PUSH, GOAWAY, HEADERS, Head, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, PING,
        PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    },
};

/// What `SETTINGS_MAX_FRAME_SIZE` may be (RFC 9113 §6.5.2).
const FRAME_SIZES: std::ops::RangeInclusive<u32> = 16_384..=16_777_215;

// === impl Protocol ===

impl Protocol {
    /// A frame of the client.
    pub(crate) fn hear(&mut self, head: Head, content: &[u8], now: Instant) -> Result<Heard, Fault> {
        if !self.stock.received(head, now) {
            return Err(Fault::FLOOD);
        }
        if self.block.as_ref().is_some_and(|block| head.kind != CONTINUATION || head.stream != block.stream) {
            return Err(Fault::protocol("a frame between headers and their continuation"));
        }
        if !self.peer.settled && (head.kind != SETTINGS || head.has(ACK)) {
            return Err(Fault::protocol("a frame before SETTINGS"));
        }
        self.is_where_it_may_be(head)?;
        match head.kind {
            DATA => self.hear_data(head, content)?,
            HEADERS => return self.hear_headers(head, content),
            CONTINUATION => return self.hear_continuation(head, content),
            RST_STREAM => return self.hear_reset(head, content),
            PRIORITY => head.not_upon_itself(whole(content)?)?,
            SETTINGS if head.has(ACK) => self.hear_acknowledgement(content)?,
            SETTINGS => self.hear_settings(content)?,
            PING => self.hear_ping(head, whole(content)?),
            GOAWAY => {
                // What it was about follows the last stream and the code.
                content.first_chunk::<8>().ok_or(Fault::size("GOAWAY of a wrong length"))?;
                self.peer.leaves = true;
            }
            WINDOW_UPDATE => self.hear_room(head, whole(content)?)?,
            PUSH_PROMISE => return Err(Fault::protocol("PUSH_PROMISE, which is for servers")),
            _ => {} // RFC 9113 §4.1
        }
        Ok(Heard::Nothing)
    }

    /// On the connection or on a stream, and on none that was not opened yet.
    fn is_where_it_may_be(&self, Head { kind, stream, .. }: Head) -> Result<(), Fault> {
        match kind {
            SETTINGS | PING | GOAWAY if stream != 0 => Err(Fault::protocol("a frame of the connection on a stream")),
            DATA | HEADERS | PRIORITY | RST_STREAM | CONTINUATION if stream == 0 => {
                Err(Fault::protocol("a frame of a stream on none"))
            }
            DATA | RST_STREAM | WINDOW_UPDATE if stream > self.last => {
                Err(Fault::protocol("a frame on a stream that was not opened"))
            }
            _ => Ok(()),
        }
    }

    fn hear_reset(&mut self, Head { stream, .. }: Head, content: &[u8]) -> Result<Heard, Fault> {
        let code = Code(u32::from_be_bytes(whole(content)?));
        if self.place(stream).is_none() {
            self.is_passed_over(stream, true);
            return Ok(Heard::Nothing);
        }
        self.forget(stream, code);
        Ok(Heard::Gone(stream))
    }

    fn hear_settings(&mut self, content: &[u8]) -> Result<(), Fault> {
        let (settings, rest) = content.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Fault::size("SETTINGS of a wrong length"));
        }
        for [high, low, value @ ..] in settings {
            self.set(u16::from_be_bytes([*high, *low]), u32::from_be_bytes(*value))?;
        }
        self.peer.settled = true;
        self.out.put(|out| frame::short(SETTINGS, ACK, 0, &[], out));
        Ok(())
    }

    /// How it reads headers need not be heeded, since we encode without a table; nor how many streams we may open, as we open none;
    /// nor how large frames may be, as ours are never larger than all clients take.
    fn set(&mut self, setting: u16, value: u32) -> Result<(), Fault> {
        match setting {
            ENABLE_PUSH if value > 1 => return Err(Fault::protocol("SETTINGS_ENABLE_PUSH that is neither 0 nor 1")),
            MAX_FRAME_SIZE if !FRAME_SIZES.contains(&value) => {
                return Err(Fault::protocol("SETTINGS_MAX_FRAME_SIZE out of its range"));
            }
            INITIAL_WINDOW_SIZE => {
                let overflow = Fault::Connection(Code::FLOW_CONTROL_ERROR, "a window that is too large");
                if i32::try_from(value).is_err() {
                    return Err(overflow);
                }
                let more = i64::from(value) - i64::from(self.peer.window);
                self.peer.window = value;
                self.widened |= more > 0;
                let mut streams = self.streams.iter_mut();
                streams.try_for_each(|stream| stream.sending.grow(more)).map_err(|_| overflow)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// From here on the client keeps to our settings.
    fn hear_acknowledgement(&mut self, content: &[u8]) -> Result<(), Fault> {
        if !content.is_empty() {
            return Err(Fault::size("an acknowledgement of SETTINGS with content"));
        }
        if !std::mem::replace(&mut self.peer.knows_us, true) {
            self.decoder.limit(0);
        }
        Ok(())
    }

    fn hear_ping(&mut self, head: Head, content: [u8; 8]) {
        if !head.has(ACK) {
            self.out.put(|out| frame::short(PING, ACK, 0, &content, out));
        } else if self.leaving == Leaving::Announced && content == *LEAVING_PING {
            self.leave();
        }
    }

    fn hear_room(&mut self, Head { stream: id, .. }: Head, content: [u8; 4]) -> Result<(), Fault> {
        let more = i64::from(u32::from_be_bytes(content) & 0x7fff_ffff);
        self.widened = true;
        if id == 0 {
            if more == 0 {
                return Err(Fault::protocol("WINDOW_UPDATE by nothing"));
            }
            let overflow = Fault::Connection(Code::FLOW_CONTROL_ERROR, "a window that is too large");
            return self.sending.grow(more).map_err(|_| overflow);
        }
        let Some(stream) = self.stream(id) else { return Ok(()) };
        if more == 0 {
            return Err(Fault::Stream(id, Code::PROTOCOL_ERROR));
        }
        stream.sending.grow(more).map_err(|_| Fault::Stream(id, Code::FLOW_CONTROL_ERROR))
    }
}

/// A content that has this length and no other.
fn whole<const N: usize>(content: &[u8]) -> Result<[u8; N], Fault> {
    content.try_into().map_err(|_| Fault::size("a frame of a wrong length"))
}
