//! Writes the fields of answers.
//!
//! Strings stand as they are. Huffman's code would save some twenty bytes of an answer, which no packet is fewer for, and would
//! cost both sides time.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{known, numbers};

/// The kinds of fields (RFC 7541 §6), and the bits that are left for an index.
const INDEXED: (u8, u32) = (0x80, 7);
const PASSING: (u8, u32) = (0x00, 4);
const NEVER_INDEXED: (u8, u32) = (0x10, 4);
const TABLE_SIZE: (u8, u32) = (0x20, 5);
/// A string that is not Huffman-coded, and the bits for its length.
const AS_IS: (u8, u32) = (0x00, 7);

/// Writes the blocks of a connection, in the order in which they are sent.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// Whether the peer knows that there is no table.
    told: bool,
}

// === impl Encoder ===

impl Encoder {
    /// Without a table. Its first block says so (RFC 7541 §6.3), and no setting of the peer has to be answered from there on.
    pub(crate) fn new() -> Self {
        Self { told: false }
    }

    /// Appends the block that an answer begins with.
    pub(crate) fn response(&mut self, status: StatusCode, headers: &HeaderMap, into: &mut Vec<u8>) {
        self.begin(into);
        match known::status(status.as_str()) {
            Some(index) => put(INDEXED, index, into),
            None => {
                put(PASSING, known::STATUS, into);
                text(status.as_str().as_bytes(), into);
            }
        }
        fields(headers, into);
    }

    /// Appends the block that an answer ends with.
    pub(crate) fn trailers(&mut self, trailers: &HeaderMap, into: &mut Vec<u8>) {
        self.begin(into);
        fields(trailers, into);
    }

    fn begin(&mut self, into: &mut Vec<u8>) {
        if !self.told {
            self.told = true;
            put(TABLE_SIZE, 0, into);
        }
    }
}

fn fields(headers: &HeaderMap, into: &mut Vec<u8>) {
    for (name, value) in headers {
        if !of_connection(name) {
            field(name, value, into);
        }
    }
}

/// Whether a field is about the connection of HTTP/1.1, and thus malformed here (RFC 9113 §8.2.2).
fn of_connection(name: &HeaderName) -> bool {
    matches!(name.as_str(), "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade")
}

fn field(name: &HeaderName, value: &HeaderValue, into: &mut Vec<u8>) {
    let index = known::name(name.as_str());
    let kind = if is_secret(name, value) {
        NEVER_INDEXED
    } else if index.and_then(known::field).is_some_and(|(_, known)| known == value.as_bytes()) {
        INDEXED
    } else {
        PASSING
    };
    put(kind, index.unwrap_or(0), into);
    if index.is_none() {
        text(name.as_str().as_bytes(), into);
    }
    if kind != INDEXED {
        text(value.as_bytes(), into);
    }
}

/// Whether whoever passes a field on must not put it into a table, in which others could guess it (RFC 7541 §7.1.3).
fn is_secret(name: &HeaderName, value: &HeaderValue) -> bool {
    value.is_sensitive() || matches!(name.as_str(), "authorization" | "set-cookie")
}

fn text(text: &[u8], into: &mut Vec<u8>) {
    put(AS_IS, text.len(), into);
    into.extend_from_slice(text);
}

fn put((kind, bits): (u8, u32), number: usize, into: &mut Vec<u8>) {
    numbers::put(kind, bits, number, into);
}

#[cfg(test)]
mod tests;
