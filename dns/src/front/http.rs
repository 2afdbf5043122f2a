//! DNS over HTTP/2 with TLS: by RFC 8484 at `/dns-query`, and as CoreDNS's plugin `grpc` asks (`coredns.dns.DnsService`).
//!
//! A message of that service has one field, the query or the answer as it is on the wire; it is read and written here rather than by a
//! code generator.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use rollcall_http2::{Connection, Incoming, Limits};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::seats::Seat;
use super::tcp::IDLE_TIMEOUT;
use super::{Reply, Responder};
use crate::answer::edns::padding::pad;
use crate::answer::{Transport, wire};

/// Queries at once of one connection, as CoreDNS sends them.
const STREAMS_MAX: u32 = 256;
/// Largest body: a query, and what is around it.
const BODY_BYTES_MAX: usize = 65_535 + 16;
/// What the headers of a query cost is paid for by its answer.
const FRAMES_PER_ANSWER: u32 = 512;
const DNS_MESSAGE: HeaderValue = HeaderValue::from_static("application/dns-message");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// Before each message of gRPC: whether it is compressed, and its length.
const GRPC_PREFIX_BYTES: usize = 5;
/// The only field, number 1, of bytes.
const FIELD: u8 = 0x0a;
const GRPC_OK: u8 = 0;
const GRPC_INVALID: u8 = 3;
const GRPC_UNIMPLEMENTED: u8 = 12;

/// A body: some bytes, and trailers behind them.
#[derive(Debug, Default)]
struct Whole {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

/// What is asked, by which protocol.
enum Asked {
    Https(Vec<u8>),
    Grpc(Vec<u8>),
}

/// One connection's seat, which idles while no query is under way.
struct Under {
    seat: Arc<Seat>,
    queries: AtomicUsize,
}

/// Serves one connection until it ends, loses its seat, or `shutdown`. Queries that were received are answered in any case.
pub async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: IpAddr,
    responder: Responder,
    seat: Arc<Seat>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let under = Arc::new(Under { seat: Arc::clone(&seat), queries: AtomicUsize::new(0) });
    let service = move |request| {
        let (responder, under) = (responder.clone(), Arc::clone(&under));
        async move {
            under.begin();
            let response = respond(request, client, responder).await;
            under.end();
            response
        }
    };
    let limits = Limits {
        streams_max: STREAMS_MAX,
        // Who does not answer pings any more is gone.
        ping_after: 4 * IDLE_TIMEOUT,
        ping_timeout: IDLE_TIMEOUT,
        frames_per_answer: FRAMES_PER_ANSWER,
        ..Limits::default()
    };
    seat.end(Instant::now());
    let serving = Connection::new(stream, limits, service);
    tokio::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => return ended.map_err(io::Error::other),
        () = seat.closed() => {}
        () = shutdown.cancelled() => {}
    }
    serving.as_mut().get_mut().shut_down();
    timeout(2 * IDLE_TIMEOUT, serving).await.unwrap_or(Ok(())).map_err(io::Error::other)
}

// === impl Under ===

impl Under {
    fn begin(&self) {
        if self.queries.fetch_add(1, Relaxed) == 0 {
            self.seat.begin();
        }
    }

    fn end(&self) {
        if self.queries.fetch_sub(1, Relaxed) == 1 {
            self.seat.end(Instant::now());
        }
    }
}

async fn respond(request: Request<Incoming>, client: IpAddr, responder: Responder) -> Response<Whole> {
    let asked = match asked(request).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    match asked {
        Asked::Https(query) => match answer(&query, client, responder).await {
            Some(answer) => https(answer),
            None => plain(StatusCode::BAD_REQUEST, "this is no DNS query\n"),
        },
        Asked::Grpc(query) => match answer(&query, client, responder).await {
            Some(answer) => grpc(&answer),
            None => grpc_error(GRPC_INVALID, "this is no DNS query"),
        },
    }
}

async fn answer(query: &[u8], client: IpAddr, mut responder: Responder) -> Option<Vec<u8>> {
    let (mut out, pads) = (Vec::new(), responder.pads(query));
    let mut answer = match responder.respond(query, Transport::Tcp, client, &mut out) {
        Reply::Answer => Some(out),
        Reply::Forward(forwarder, foreign) => match forwarder.begin(foreign, Transport::Tcp, client) {
            Ok(forwarding) => Some(forwarding.finish().await),
            Err(answer) => Some(answer),
        },
        // A response is one message here (RFC 8484 §4.2.1).
        Reply::Transfer(_) | Reply::None => None,
    }?;
    if pads {
        pad(&mut answer);
    }
    Some(answer)
}

async fn asked(request: Request<Incoming>) -> Result<Asked, Response<Whole>> {
    let (head, body) = request.into_parts();
    let is = |value: &HeaderValue| {
        head.headers.get(CONTENT_TYPE).is_some_and(|own| own.as_bytes().starts_with(value.as_bytes()))
    };
    match (&head.method, head.uri.path()) {
        (&Method::POST, "/coredns.dns.DnsService/Query") if is(&GRPC) => {
            let body =
                whole(body).await.ok_or_else(|| grpc_error(GRPC_INVALID, "the query is longer than 65,535 bytes"))?;
            unframed(&body)
                .map(Asked::Grpc)
                .ok_or_else(|| grpc_error(GRPC_INVALID, "this is no DnsPacket without compression"))
        }
        (_, _) if is(&GRPC) => Err(grpc_error(GRPC_UNIMPLEMENTED, "there is coredns.dns.DnsService/Query alone")),
        (&Method::POST, "/dns-query") if is(&DNS_MESSAGE) => {
            let too_long = || plain(StatusCode::PAYLOAD_TOO_LARGE, "a query has at most 65,535 bytes\n");
            whole(body).await.map(Asked::Https).ok_or_else(too_long)
        }
        (&Method::POST, "/dns-query") => {
            Err(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/dns-message\n"))
        }
        (&Method::GET, "/dns-query") => {
            let query = head.uri.query().unwrap_or_default();
            let dns = query.split('&').find_map(|pair| pair.strip_prefix("dns=")).and_then(base64url);
            dns.map(Asked::Https)
                .ok_or_else(|| plain(StatusCode::BAD_REQUEST, "give ?dns= with a query in base64url\n"))
        }
        (_, "/dns-query") => Err(plain(StatusCode::METHOD_NOT_ALLOWED, "use GET or POST\n")),
        _ => Err(plain(StatusCode::NOT_FOUND, "there is /dns-query\n")),
    }
}

/// The whole of a body; `None` when it is too long or breaks off.
async fn whole(mut body: Incoming) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let reading = async {
        while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            if let Ok(data) = frame.ok()?.into_data() {
                all.extend_from_slice(&data);
            }
            if all.len() > BODY_BYTES_MAX {
                return None;
            }
        }
        Some(())
    };
    timeout(IDLE_TIMEOUT, reading).await.ok()??;
    Some(all)
}

/// What a message of gRPC holds, if it is one `DnsPacket`.
fn unframed(body: &[u8]) -> Option<Vec<u8>> {
    let (prefix, message) = body.split_at_checked(GRPC_PREFIX_BYTES)?;
    let [0, length @ ..] = prefix else { return None };
    let length = u32::from_be_bytes(*length.first_chunk()?) as usize;
    let [FIELD, rest @ ..] = message.get(..length).filter(|message| message.len() + GRPC_PREFIX_BYTES == body.len())?
    else {
        return None;
    };
    // A length below 2^21 has at most three bytes.
    let (mut length, mut at) = (0_usize, 0);
    loop {
        let byte = *rest.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * at);
        at += 1;
        match (byte & 0x80, at) {
            (0, _) => break,
            (_, 3) => return None,
            _ => {}
        }
    }
    rest.get(at..).filter(|packet| packet.len() == length).map(<[u8]>::to_vec)
}

fn framed(packet: &[u8]) -> Vec<u8> {
    let mut message = vec![FIELD];
    let mut length = packet.len();
    while length >= 0x80 {
        message.push(length as u8 | 0x80); // its low seven bits
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(packet);
    // An answer has at most 65,535 bytes.
    [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat()
}

fn grpc(answer: &[u8]) -> Response<Whole> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(GRPC_OK)));
    let mut response = Response::new(Whole { data: Some(framed(answer).into()), trailers: Some(trailers) });
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

fn grpc_error(code: u8, message: &'static str) -> Response<Whole> {
    let mut response = Response::new(Whole::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    headers.insert("grpc-message", HeaderValue::from_static(message));
    response
}

/// It may be kept for as long as the first of its records (RFC 8484 §5.1).
fn https(answer: Vec<u8>) -> Response<Whole> {
    let ttl = shortest_ttl(&answer).unwrap_or(0);
    let mut response = Response::new(Whole { data: Some(answer.into()), trailers: None });
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, DNS_MESSAGE);
    if let Ok(value) = HeaderValue::from_str(&format!("max-age={ttl}")) {
        headers.insert(CACHE_CONTROL, value);
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Whole> {
    let mut response = Response::new(Whole { data: Some(Bytes::from_static(text.as_bytes())), trailers: None });
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn shortest_ttl(answer: &[u8]) -> Option<u32> {
    let end = wire::name_end(answer, wire::HEADER_BYTES)? + 4;
    let records = usize::from(wire::count(answer, 1)?) + usize::from(wire::count(answer, 2)?);
    let (mut at, mut shortest) = (end, None);
    for _ in 0..records {
        let record = wire::span(answer, at)?;
        let ttl = u32::from_be_bytes(record.ttl);
        shortest = Some(shortest.map_or(ttl, |shortest: u32| shortest.min(ttl)));
        at = record.end;
    }
    shortest
}

/// Base64 for URLs without padding (RFC 4648 §5).
fn base64url(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    };
    let text = text.trim_end_matches('=').as_bytes();
    if text.len() % 4 == 1 || text.len() > BODY_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for place in 0..4 {
            bits = bits << 6 | u32::from(group.get(place).map_or(Some(0), |byte| digit(*byte))?);
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

// === impl Whole ===

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, Bytes::len) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_framed_and_read_again_whatever_its_length() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 65_535] {
            let packet = vec![7; length];
            assert_eq!(unframed(&framed(&packet)), Some(packet), "{length}");
        }
        for broken in [
            &b""[..],
            b"\0\0\0\0\x02\x0a",
            b"\x01\0\0\0\x02\x0a\0",
            b"\0\0\0\0\x02\x0a\x05",
            b"\0\0\0\0\x02\x12\0",
            b"\0\0\0\0\x05\x0a\xff\xff\xff\xff",
        ] {
            assert_eq!(unframed(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn base64_is_read_as_it_is_in_urls() {
        for (text, bytes) in
            [("", &b""[..]), ("AA", &[0]), ("-_8", &[0xfb, 0xff]), ("AAEB", &[0, 1, 1]), ("AAEB==", &[0, 1, 1])]
        {
            assert_eq!(base64url(text).as_deref(), Some(bytes), "{text}");
        }
        for wrong in ["A", "A+", "AAA/", "ä"] {
            assert_eq!(base64url(wrong), None, "{wrong}");
        }
    }
}
