//! What a connection may take.

use std::time::Duration;

/// The bounds of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams at a time (`SETTINGS_MAX_CONCURRENT_STREAMS`). Fewer than 100 are advised against (RFC 9113 §6.5.2).
    pub streams_max: u32,
    /// Of the headers of a request, counted as HPACK does: 32 bytes for each, names and values
    /// (`SETTINGS_MAX_HEADER_LIST_SIZE`). Requests with more are answered with 431.
    pub header_bytes_max: usize,
    /// What a client may send of a body that is not read, in bytes: on one stream, and on the connection. From
    /// [`Self::WINDOW_BYTES_MIN`], since it may send as much before it knows, to [`Self::WINDOW_BYTES_MAX`].
    pub stream_window_bytes: u32,
    /// See [`Self::stream_window_bytes`].
    pub connection_window_bytes: u32,
    /// For the preface, from the connection's begin.
    pub preface: Duration,
    /// A ping after so long without a byte from the client.
    pub ping_after: Duration,
    /// How long a client may take for an answer to it.
    pub ping_timeout: Duration,
    /// How long a client may take no byte of what is written to it.
    pub stall: Duration,
    /// After this long a connection takes no more streams. `None` for never.
    pub age: Option<Duration>,
    /// What an answer pays for, in frames from the client: where each request is answered once, headers are paid for by
    /// answers; where a request opens a stream that lives for long, they come out of what a client may cost in all.
    pub frames_per_answer: u32,
}

// === impl Limits ===

impl Limits {
    /// What a client may send before it knows better (RFC 9113 §6.9.2).
    pub const WINDOW_BYTES_MIN: u32 = 65_535;
    /// The largest window that can be said (RFC 9113 §6.9.1).
    pub const WINDOW_BYTES_MAX: u32 = 0x7fff_ffff;

    /// With windows that there can be.
    pub(crate) fn possible(self) -> Self {
        let window = |bytes: u32| bytes.clamp(Self::WINDOW_BYTES_MIN, Self::WINDOW_BYTES_MAX);
        Self {
            stream_window_bytes: window(self.stream_window_bytes),
            connection_window_bytes: window(self.connection_window_bytes),
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams_max: 100,
            header_bytes_max: 16 << 10,
            stream_window_bytes: Self::WINDOW_BYTES_MIN,
            connection_window_bytes: Self::WINDOW_BYTES_MIN,
            preface: Duration::from_secs(10),
            ping_after: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(5),
            stall: Duration::from_secs(30),
            age: None,
            frames_per_answer: 0,
        }
    }
}
