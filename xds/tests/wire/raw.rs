//! A client of HTTP/2 that says what no library would: frames by hand.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::soon;

/// What a client of HTTP/2 sends first (RFC 9113 §3.4), and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Frame types (RFC 9113 §6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const CONTINUATION: u8 = 9;

/// END_STREAM of DATA and HEADERS.
const END_STREAM: u8 = 1;
/// END_HEADERS of HEADERS.
pub(crate) const END_HEADERS: u8 = 4;

/// The two halves of a connection.
pub(crate) struct Raw {
    pub(crate) read: OwnedReadHalf,
    pub(crate) write: OwnedWriteHalf,
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) ty: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

// === impl Frame ===

impl Frame {
    /// Whether it is the last of its stream.
    pub(crate) fn ends(&self) -> bool {
        matches!(self.ty, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

// === impl Raw ===

impl Raw {
    /// A connection from `from`, an address of this machine's loopback.
    pub(crate) async fn connect(from: &str, server: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(format!("{from}:0").parse().expect("an address")).expect("loopback has it");
        let stream = socket.connect(server).await.expect("a connection");
        let (read, mut write) = stream.into_split();
        write.write_all(PREFACE).await.expect("written");
        Self { read, write }
    }

    /// Begins a call of the delta stream.
    pub(crate) async fn call(&mut self, stream: u32) {
        self.write.write_all(&frame(HEADERS, END_HEADERS, stream, &headers_of_a_call())).await.expect("written");
    }

    /// Sends content of a call.
    pub(crate) async fn data(&mut self, stream: u32, content: &[u8]) {
        for part in content.chunks(16_384) {
            self.write.write_all(&frame(DATA, 0, stream, part)).await.expect("written");
        }
    }

    /// The next frame, if the connection does not end.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon(self.read.read_exact(&mut head)).await.ok()?;
        let [high, middle, low, ty, flags, stream @ ..] = head;
        let len = u32::from_be_bytes([0, high, middle, low]);
        let mut content = vec![0; usize::try_from(len).expect("short")];
        soon(self.read.read_exact(&mut content)).await.ok()?;
        Some(Frame { ty, flags, stream: u32::from_be_bytes(stream) })
    }

    /// Waits until that stream has ended.
    pub(crate) async fn end_of(&mut self, stream: u32) {
        while let Some(frame) = self.frame().await {
            if frame.stream == stream && frame.ends() {
                return;
            }
        }
    }

    /// Waits for the first answer on that stream.
    pub(crate) async fn data_on(&mut self, stream: u32) {
        while let Some(frame) = self.frame().await {
            if frame.stream == stream && frame.ty == DATA {
                return;
            }
        }
        panic!("the connection has ended");
    }
}

/// What a call of the delta stream begins with.
pub(crate) fn headers_of_a_call() -> Vec<u8> {
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "rollcall"),
        (":path", "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    headers.iter().flat_map(|(name, value)| field(0, name, value)).collect()
}

/// A literal field, not compressed, of that representation (RFC 7541 §6.2): 0 is not to be indexed, 64 is.
pub(crate) fn field(representation: u8, name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let (mut bytes, mut left) = (Vec::new(), text.len());
        if left < 127 {
            bytes.push(u8::try_from(left).expect("short"));
        } else {
            bytes.push(127);
            left -= 127;
            while left > 127 {
                bytes.push(u8::try_from(left & 127 | 128).expect("a byte"));
                left >>= 7;
            }
            bytes.push(u8::try_from(left).expect("a byte"));
        }
        [&bytes, text.as_bytes()].concat()
    };
    [vec![representation], text(name), text(value)].concat()
}

/// An encoded frame.
pub(crate) fn frame(ty: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).expect("short").to_be_bytes();
    [&len[1..], &[ty, flags], &stream.to_be_bytes(), content].concat()
}
