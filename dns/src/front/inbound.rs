//! Messages as they come on a stream, each with its length before it (RFC 1035 §4.2.2).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// What has come and was not taken yet.
#[derive(Debug)]
pub(super) struct Inbound<R> {
    read: R,
    bytes: Vec<u8>,
    /// Of `bytes`: where the next message begins.
    at: usize,
}

/// Asked of the system at once.
const CHUNK: usize = 2048;
/// Kept for the next message once all are taken.
const KEPT: usize = 8192;

// === impl Inbound ===

impl<R: AsyncRead + Unpin> Inbound<R> {
    pub(super) fn new(read: R) -> Self {
        Self { read, bytes: Vec::new(), at: 0 }
    }

    /// Waits for more bytes; 0 at the end of the stream. Nothing is lost when the wait is given up.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        self.bytes.reserve(CHUNK);
        self.read.read_buf(&mut self.bytes).await
    }

    /// The next message, if it is whole.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let rest = self.bytes.get(self.at..)?;
        let len = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let begin = self.at + 2;
        if rest.len() < 2 + len {
            return None;
        }
        self.at = begin + len;
        self.bytes.get(begin..self.at)
    }

    /// Whether a message has begun to come.
    pub(super) fn has_begun(&self) -> bool {
        self.at < self.bytes.len()
    }

    /// Lets go of what was taken.
    pub(super) fn compact(&mut self) {
        self.bytes.drain(..self.at);
        self.at = 0;
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }
}
