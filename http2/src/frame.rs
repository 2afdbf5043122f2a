//! Frames as they are on the wire (RFC 9113 §4 and §6).

use crate::code::{Code, Fault};

/// What stands before each frame's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) len: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

/// What bytes begin with.
#[derive(Debug)]
pub(crate) enum Cut<'a> {
    /// A frame that is whole, its content, and what follows.
    Frame(Head, &'a [u8], &'a [u8]),
    /// More has to come.
    Half,
}

/// Bytes of a head.
pub(crate) const HEAD_BYTES: usize = 9;
/// What a client sends first (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest content of a frame that we take: nobody may be made to read larger ones (`SETTINGS_MAX_FRAME_SIZE`).
pub(crate) const CONTENT_BYTES_MAX: usize = 16_384;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITIZED: u8 = 0x20;

pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const ENABLE_PUSH: u16 = 2;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const MAX_FRAME_SIZE: u16 = 5;
pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 6;

// === impl Head ===

impl Head {
    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn of(bytes: [u8; HEAD_BYTES]) -> Self {
        let [a, b, c, kind, flags, d, e, f, g] = bytes;
        let stream = u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff;
        Self { len: u32::from_be_bytes([0, a, b, c]), kind, flags, stream }
    }

    /// The content without padding, and without what HEADERS says of priority, which nobody heeds (RFC 9113 §5.3.2).
    pub(crate) fn unpadded(self, mut content: &[u8]) -> Result<&[u8], Fault> {
        let mut padding = 0;
        if self.has(PADDED) {
            let (first, rest) =
                content.split_first().ok_or(Fault::size("a padded frame without its padding's length"))?;
            (padding, content) = (usize::from(*first), rest);
        }
        if self.kind == HEADERS && self.has(PRIORITIZED) {
            let (priority, rest) = content.split_first_chunk().ok_or(Fault::size("HEADERS without its priority"))?;
            self.not_upon_itself(*priority)?;
            content = rest;
        }
        let kept =
            content.len().checked_sub(padding).ok_or(Fault::protocol("a frame that has more padding than content"))?;
        Ok(&content[..kept])
    }

    /// No stream depends upon itself (RFC 7540 §5.3.1).
    pub(crate) fn not_upon_itself(self, priority: [u8; 5]) -> Result<(), Fault> {
        let [a, b, c, d, _] = priority;
        match u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff == self.stream {
            true => Err(Fault::protocol("a stream that depends upon itself")),
            false => Ok(()),
        }
    }
}

/// The first frame of these bytes.
pub(crate) fn cut(bytes: &[u8]) -> Result<Cut<'_>, Fault> {
    let Some((head, rest)) = bytes.split_first_chunk() else { return Ok(Cut::Half) };
    let head = Head::of(*head);
    let len = head.len as usize;
    if len > CONTENT_BYTES_MAX {
        return Err(Fault::size("a frame that is larger than SETTINGS_MAX_FRAME_SIZE"));
    }
    Ok(rest.split_at_checked(len).map_or(Cut::Half, |(content, after)| Cut::Frame(head, content, after)))
}

/// Writes a head.
pub(crate) fn head(kind: u8, flags: u8, stream: u32, len: usize, into: &mut Vec<u8>) {
    let [_, a, b, c] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes(); // callers cut at 16 KiB
    into.extend_from_slice(&[a, b, c, kind, flags]);
    into.extend_from_slice(&stream.to_be_bytes());
}

/// Writes a frame that is short.
pub(crate) fn short(kind: u8, flags: u8, stream: u32, content: &[u8], into: &mut Vec<u8>) {
    head(kind, flags, stream, content.len(), into);
    into.extend_from_slice(content);
}

/// Writes the end of a connection: the last stream that was looked at, and why.
pub(crate) fn goaway(last: u32, code: Code, words: &str, into: &mut Vec<u8>) {
    head(GOAWAY, 0, 0, 8 + words.len(), into);
    into.extend_from_slice(&last.to_be_bytes());
    into.extend_from_slice(&code.0.to_be_bytes());
    into.extend_from_slice(words.as_bytes());
}

/// Writes settings.
pub(crate) fn settings(values: &[(u16, u32)], into: &mut Vec<u8>) {
    head(SETTINGS, 0, 0, 6 * values.len(), into);
    for (setting, value) in values {
        into.extend_from_slice(&setting.to_be_bytes());
        into.extend_from_slice(&value.to_be_bytes());
    }
}
