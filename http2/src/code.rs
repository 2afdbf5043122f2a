//! Why a stream or a connection ends.

use std::io;

/// A reason, as it is on the wire (RFC 9113 §7). Numbers without a name are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

/// How a connection ended that did not end in order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client did not keep to the protocol.
    #[error("the client broke HTTP/2: {words}")]
    Broken {
        /// What it was told.
        code: Code,
        /// What it did.
        words: &'static str,
    },
    /// The client cost more than its requests are worth.
    #[error("the client sent too many frames, or headers, without requests")]
    Flooded,
    /// The client did not begin with HTTP/2 in time.
    #[error("no preface of HTTP/2 in time")]
    Late,
    /// The client did not answer a ping in time.
    #[error("the client did not answer a ping in time")]
    Dead,
    /// The client reads nothing of what it is sent.
    #[error("the client has read nothing for too long")]
    Stalled,
    /// The network failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a client did wrong: to the whole connection, or to one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Connection(Code, &'static str),
    Stream(u32, Code),
}

// === impl Code ===

impl Code {
    /// In order.
    pub const NO_ERROR: Self = Self(0);
    /// The protocol was broken, and no other code says how.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// The side that says so is at fault.
    pub const INTERNAL_ERROR: Self = Self(2);
    /// More was sent than a window allowed.
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    /// A frame for a stream that has ended.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame of the wrong length.
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    /// The stream was not looked at, and may be tried again.
    pub const REFUSED_STREAM: Self = Self(7);
    /// The stream is no longer wanted.
    pub const CANCEL: Self = Self(8);
    /// Headers cannot be decoded.
    pub const COMPRESSION_ERROR: Self = Self(9);
    /// The peer costs too much.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
}

// === impl Fault ===

impl Fault {
    pub(crate) const FLOOD: Self = Self::Connection(Code::ENHANCE_YOUR_CALM, "too many frames or headers");

    pub(crate) const fn protocol(words: &'static str) -> Self {
        Self::Connection(Code::PROTOCOL_ERROR, words)
    }

    pub(crate) const fn size(words: &'static str) -> Self {
        Self::Connection(Code::FRAME_SIZE_ERROR, words)
    }
}
