//! What frames say that carry requests: headers, which may come in parts, bodies and trailers.

use std::sync::Arc;

use http::{HeaderMap, Request, StatusCode};

use super::{Heard, Leaving, Protocol, Stream};
use crate::{
    code::{Code, Fault},
    frame::{CONTENT_BYTES_MAX, END_HEADERS, END_STREAM, Head},
    inbox::Inbox,
    request::{Fields, Unfit},
    window::{Receiving, Sending},
};

/// Headers of which more is to come.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    last: bool,
    bytes: Vec<u8>,
}

// === impl Block ===

#[cfg(test)]
impl Block {
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

// === impl Protocol ===

impl Protocol {
    pub(super) fn hear_headers(&mut self, head: Head, content: &[u8]) -> Result<Heard, Fault> {
        if head.stream.is_multiple_of(2) {
            return Err(Fault::protocol("a stream with an even number, which are the server's"));
        }
        let (block, last) = (head.unpadded(content)?, head.has(END_STREAM));
        if head.has(END_HEADERS) {
            return self.hear_block(head.stream, block, last);
        }
        self.block = Some(Block { stream: head.stream, last, bytes: block.to_vec() });
        Ok(Heard::Nothing)
    }

    pub(super) fn hear_continuation(&mut self, head: Head, content: &[u8]) -> Result<Heard, Fault> {
        let mut block = self.block.take().ok_or(Fault::protocol("a continuation of nothing"))?;
        if block.bytes.len() + content.len() > self.limits.header_bytes_max + CONTENT_BYTES_MAX {
            return Err(Fault::FLOOD);
        }
        block.bytes.extend_from_slice(content);
        if head.has(END_HEADERS) {
            return self.hear_block(block.stream, &block.bytes, block.last);
        }
        self.block = Some(block);
        Ok(Heard::Nothing)
    }

    /// All of a block. It is decoded whatever becomes of it, since the next one may stand on it.
    fn hear_block(&mut self, id: u32, block: &[u8], last: bool) -> Result<Heard, Fault> {
        let mut fields = Fields::of_at_most(self.limits.header_bytes_max);
        let decoded = self.decoder.decode(block, &mut |name, value| fields.add(name, value));
        decoded.map_err(|_| Fault::Connection(Code::COMPRESSION_ERROR, "headers that cannot be decoded"))?;
        if let Some(at) = self.place(id) {
            return self.hear_trailers(at, fields, last);
        }
        if id > self.last {
            return self.hear_request(id, fields, last);
        }
        match self.is_passed_over(id, last) {
            true => Ok(Heard::Nothing),
            false => Err(Fault::Connection(Code::STREAM_CLOSED, "headers on a stream that has ended")),
        }
    }

    fn hear_request(&mut self, id: u32, fields: Fields, last: bool) -> Result<Heard, Fault> {
        self.last = id;
        if self.leaving == Leaving::Last {
            if !last {
                self.pass_over(id);
            }
            return Ok(Heard::Nothing); // the client was told that it is not served
        }
        self.served = id;
        if self.streams.len() >= self.limits.streams_max as usize {
            return Err(Fault::Stream(id, Code::REFUSED_STREAM));
        }
        let (head, left) = match fields.into_request() {
            Ok(request) => request,
            Err(Unfit::Malformed) => return Err(Fault::Stream(id, Code::PROTOCOL_ERROR)),
            Err(Unfit::Large) => return Ok(self.too_large(id, last)),
        };
        if last && left.is_some_and(|left| left > 0) {
            return Err(Fault::Stream(id, Code::PROTOCOL_ERROR));
        }
        let stream = self.open(id, left, last);
        let inbox = Arc::clone(&stream.inbox);
        if last {
            inbox.end(None);
        }
        let request = Box::new(Request::from_parts(head, inbox.body()));
        if self.streams.is_empty() {
            self.streams.reserve_exact(1); // most connections have one
        }
        self.streams.push(stream);
        Ok(Heard::Request(id, inbox, request))
    }

    fn open(&self, id: u32, left: Option<u64>, whole: bool) -> Stream {
        Stream {
            id,
            sending: Sending::of(self.peer.window),
            receiving: Receiving::of(self.limits.stream_window_bytes),
            unread: 0,
            left,
            whole,
            inbox: Inbox::new(id, Arc::clone(&self.bell), left),
        }
    }

    /// Answers a request of which only that is known (RFC 6585 §5).
    fn too_large(&mut self, id: u32, whole: bool) -> Heard {
        let mut block = Vec::new();
        self.encoder.response(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &HeaderMap::new(), &mut block);
        self.send_block(id, &block, true);
        if !whole {
            self.cut_short(id, Code::NO_ERROR);
        }
        Heard::Nothing
    }

    fn hear_trailers(&mut self, at: usize, fields: Fields, last: bool) -> Result<Heard, Fault> {
        let Stream { id, whole, left, ref inbox, .. } = self.streams[at];
        if whole {
            return Err(Fault::Stream(id, Code::STREAM_CLOSED));
        }
        let trailers = fields.into_trailers().ok().filter(|_| last && left.unwrap_or(0) == 0);
        inbox.end(Some(trailers.ok_or(Fault::Stream(id, Code::PROTOCOL_ERROR))?));
        self.streams[at].whole = true;
        Ok(Heard::Nothing)
    }

    pub(super) fn hear_data(&mut self, head: Head, content: &[u8]) -> Result<(), Fault> {
        let Head { len, stream: id, .. } = head;
        let overflow = Fault::Connection(Code::FLOW_CONTROL_ERROR, "more data than the connection's window");
        self.receiving.came(len).map_err(|_| overflow)?;
        let content = head.unpadded(content)?;
        let Some(stream) = self.stream(id) else {
            self.read_by_all(len);
            let known = self.is_passed_over(id, head.has(END_STREAM));
            return if known { Ok(()) } else { Err(Fault::Stream(id, Code::STREAM_CLOSED)) };
        };
        stream.unread += len; // so that it is counted as read if the stream ends here
        if stream.whole {
            return Err(Fault::Stream(id, Code::STREAM_CLOSED));
        }
        stream.receiving.came(len).map_err(|_| Fault::Stream(id, Code::FLOW_CONTROL_ERROR))?;
        let left = stream.left.map(|left| left.checked_sub(content.len() as u64));
        if left == Some(None) || (head.has(END_STREAM) && left.flatten().unwrap_or(0) > 0) {
            return Err(Fault::Stream(id, Code::PROTOCOL_ERROR));
        }
        stream.left = left.flatten();
        let kept = if content.is_empty() || !stream.inbox.push(content) { 0 } else { content.len() };
        if head.has(END_STREAM) {
            stream.whole = true;
            stream.inbox.end(None);
        }
        self.read(id, len - u32::try_from(kept).unwrap_or(len));
        Ok(())
    }
}
