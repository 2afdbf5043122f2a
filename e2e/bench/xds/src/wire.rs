//! As much of protobuf, gRPC and HTTP/2 as a load client needs. A client that understood more would cost more than the server
//! that is measured.

/// HTTP/2 frames that matter here (RFC 9113 §6).
pub(crate) mod frame {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;
    /// Length, type, flags, stream.
    pub(crate) const HEAD: usize = 9;
}

/// The stream that a client opens; it opens one.
pub(crate) const STREAM: u32 = 1;
/// The largest frame that a peer takes without having said so.
const FRAME_MAX: usize = 16_384;
/// What the server may send before we say that we have read.
pub(crate) const WINDOW: u32 = 8 << 20;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Clusters alone: on an aggregated stream Rollcall keeps the names of clusters whose endpoints have yet to follow, which nobody asks for
/// here.
const PATH: &str = "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters";
/// The type of the resources that are asked for.
pub(crate) const TYPE_URL: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

/// Appends a frame.
pub(crate) fn push_frame(kind: u8, flags: u8, stream: u32, payload: &[u8], to: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    to.extend_from_slice(&length[1..]);
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}

/// All that comes before the first message.
pub(crate) fn opening() -> Vec<u8> {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let mut bytes = PREFACE.to_vec();
    let mut settings = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    settings.extend(WINDOW.to_be_bytes());
    push_frame(frame::SETTINGS, 0, 0, &settings, &mut bytes);
    push_frame(frame::WINDOW_UPDATE, 0, 0, &(WINDOW - 65_535).to_be_bytes(), &mut bytes);
    let mut headers = Vec::new();
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", "bench"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in fields {
        // A literal that is not to be indexed, not Huffman-coded; all are shorter than 127 bytes (RFC 7541 §6.2.2).
        headers.push(0);
        for text in [name, value] {
            headers.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            headers.extend(text.bytes());
        }
    }
    push_frame(frame::HEADERS, frame::END_HEADERS, STREAM, &headers, &mut bytes);
    bytes
}

/// A gRPC message in as many frames as it needs.
pub(crate) fn push_message(message: &[u8], to: &mut Vec<u8>) {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(message);
    for part in framed.chunks(FRAME_MAX) {
        push_frame(frame::DATA, 0, STREAM, part, to);
    }
}

/// A first request: these names, or everything if there are none; and what is known already, as [`known`] has it.
pub(crate) fn subscribe(node: &str, names: &[String], known: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    let mut of_node = Vec::new();
    push_field(1, node.as_bytes(), &mut of_node);
    push_field(1, &of_node, &mut request);
    push_field(2, TYPE_URL.as_bytes(), &mut request);
    for name in names {
        push_field(3, name.as_bytes(), &mut request);
    }
    request.extend_from_slice(known);
    request
}

/// Names and versions that a client holds, for its first request.
pub(crate) fn known<'a>(versions: impl Iterator<Item = &'a (String, String)>) -> Vec<u8> {
    let (mut all, mut entry) = (Vec::new(), Vec::new());
    for (name, version) in versions {
        entry.clear();
        push_field(1, name.as_bytes(), &mut entry);
        push_field(2, version.as_bytes(), &mut entry);
        push_field(5, &entry, &mut all);
    }
    all
}

/// The acknowledgement of a response.
pub(crate) fn acknowledge(nonce: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    push_field(2, TYPE_URL.as_bytes(), &mut request);
    push_field(6, nonce, &mut request);
    request
}

fn push_field(number: u8, value: &[u8], to: &mut Vec<u8>) {
    to.push(number << 3 | 2);
    let mut length = value.len();
    while length > 127 {
        to.push(u8::try_from(length & 127).unwrap_or_default() | 128);
        length >>= 7;
    }
    to.push(u8::try_from(length).unwrap_or_default());
    to.extend_from_slice(value);
}

/// The fields of a message that have a length, by their numbers. Ends at what it does not understand.
pub(crate) fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        loop {
            let key = varint(&mut message)?;
            match key & 7 {
                0 => drop(varint(&mut message)?),
                1 => message = message.get(8..)?,
                2 => {
                    let length = usize::try_from(varint(&mut message)?).ok()?;
                    let (value, rest) = message.split_at_checked(length)?;
                    message = rest;
                    return Some((key >> 3, value));
                }
                5 => message = message.get(4..)?,
                _ => return None,
            }
        }
    })
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
    None
}

/// When the changes in a message were made, in nanoseconds of unix time: each is marked `at=…` by its server.
pub(crate) fn marks(message: &[u8]) -> impl Iterator<Item = u64> {
    memchr::memmem::find_iter(message, b"at=").filter_map(|at| {
        let digits = message[at + 3..].iter().take_while(|byte| byte.is_ascii_digit());
        digits
            .fold(None, |value: Option<u64>, digit| Some(value.unwrap_or(0).wrapping_mul(10) + u64::from(digit - b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let names = vec!["x".repeat(200)];
        let request = subscribe("node", &names, &known([("a".into(), "1".into())].iter()));
        let read: Vec<u64> = fields(&request).map(|(number, _)| number).collect();
        assert_eq!(read, [1, 2, 3, 5]);
        assert_eq!(fields(&request).nth(2), Some((3, names[0].as_bytes())));
    }

    #[test]
    fn marks_are_found_wherever_they_stand() {
        assert_eq!(marks(b"..at=17x at=4").collect::<Vec<_>>(), [17, 4]);
    }
}
