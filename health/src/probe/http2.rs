//! HTTP/2 connections: a ping, and the health service of gRPC.

use std::future::poll_fn;
use std::pin::pin;

use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, RecvStream};
use http::{Request, Response, header};
use hyper::body::Bytes;

use super::Seen;
use super::dial::{Close, Dial};
use super::driven::Driven;
use super::fault::{Failed, local_in};
use super::stream::{Opener, Stream};
use super::tls::Alpn;
use super::words::quoted;
use crate::definition::{Grpc, Http2, Tls};

/// Of everything that is read: frames of settings, headers and a message of a few bytes.
const BYTES_MAX: usize = 256 * 1024;
/// Of headers and of trailers.
const HEADER_BYTES_MAX: u32 = 32 * 1024;
/// A message of the health service has two bytes.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
const USER_AGENT: &str = concat!("rollcall-check/", env!("CARGO_PKG_VERSION"));

/// Pings.
pub(super) async fn ping<D: Dial>(opener: &Opener<'_, D>, check: &Http2) -> Result<Seen, Failed> {
    let (_sender, mut connection) = open(opener, check.tls.as_ref(), None).await?;
    let Some(mut pings) = connection.ping_pong() else {
        return Err(Failed::Target("cannot be pinged".to_owned()));
    };
    let connection = pin!(connection);
    let mut connection = Driven::new(connection);
    match connection.unless_ended(pings.ping(Ping::opaque())).await {
        Ok(Ok(_)) => Ok(Seen::Well("answered the ping".to_owned())),
        Ok(Err(error)) | Err(Some(Err(error))) => Err(broken(&error)),
        Err(Some(Ok(())) | None) => Err(Failed::Target("was closed without an answer".to_owned())),
    }
}

/// Asks the health service (grpc/grpc `doc/health-checking.md`).
pub(super) async fn health<D: Dial>(opener: &Opener<'_, D>, check: &Grpc) -> Result<Seen, Failed> {
    let (mut sender, connection) = open(opener, check.tls.as_ref(), check.authority.as_deref()).await?;
    let connection = pin!(connection);
    let mut connection = Driven::new(connection);
    let request = request(opener, check)?;
    connection.beside(poll_fn(|cx| sender.poll_ready(cx))).await.map_err(|error| broken(&error))?;
    let (answer, mut body) = sender.send_request(request, false).map_err(|error| broken(&error))?;
    body.send_data(message(&check.service), true).map_err(|error| broken(&error))?;
    let answer = connection.beside(answer).await.map_err(|error| broken(&error))?;
    if answer.status() != 200 || !is_grpc(&answer) {
        return Err(Failed::Target(format!("answered HTTP status {} without gRPC", answer.status().as_u16())));
    }
    // An answer without a message has its trailers as headers.
    if let Some(code) = code(answer.headers()) {
        return refused(code, answer.headers(), check);
    }
    let mut body = answer.into_body();
    let read = connection.beside(read(&mut body)).await?;
    let trailers = connection.beside(poll_fn(|cx| body.poll_trailers(cx))).await.map_err(|error| broken(&error))?;
    let trailers = trailers.unwrap_or_default();
    match code(&trailers) {
        None | Some(0) => status(&read, check),
        Some(code) => refused(code, &trailers, check),
    }
}

async fn open<D: Dial>(
    opener: &Opener<'_, D>,
    tls: Option<&Tls>,
    host: Option<&str>,
) -> Result<(SendRequest<Bytes>, Connection<Stream<D::Stream>, Bytes>), Failed> {
    let stream = opener.open(Close::Reset, BYTES_MAX, tls, Alpn::Http2, host).await?;
    let mut builder = Builder::new();
    builder.max_header_list_size(HEADER_BYTES_MAX).enable_push(false).max_concurrent_reset_streams(4);
    builder.handshake(stream).await.map_err(|error| broken(&error))
}

fn request<D>(opener: &Opener<'_, D>, check: &Grpc) -> Result<Request<()>, Failed> {
    let authority = check.authority.as_deref().map_or_else(|| opener.target.to_string(), str::to_owned);
    let scheme = if check.tls.is_some() { "https" } else { "http" };
    Request::post(format!("{scheme}://{authority}/grpc.health.v1.Health/Check"))
        .version(http::Version::HTTP_2)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, USER_AGENT)
        .body(())
        .map_err(|error| Failed::Target(format!("cannot be asked: {error}")))
}

/// `HealthCheckRequest { string service = 1 }`, with its length in front.
fn message(service: &str) -> Bytes {
    let mut message = Vec::with_capacity(service.len() + 8);
    if !service.is_empty() {
        message.push(0x0a);
        varint(service.len(), &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.append(&mut message);
    framed.into()
}

fn varint(mut number: usize, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    to.push(u8::try_from(number).unwrap_or_default());
}

fn is_grpc(answer: &Response<RecvStream>) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn code(headers: &http::HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

async fn read(body: &mut RecvStream) -> Result<Vec<u8>, Failed> {
    let mut read = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        let _ = body.flow_control().release_capacity(chunk.len());
        read.extend_from_slice(&chunk);
        if read.len() > MESSAGE_BYTES_MAX {
            return Err(Failed::Target(format!("answered with a message of more than {MESSAGE_BYTES_MAX} bytes")));
        }
    }
    Ok(read)
}

/// `HealthCheckResponse { ServingStatus status = 1 }`.
fn status(framed: &[u8], check: &Grpc) -> Result<Seen, Failed> {
    let of = of(check);
    let said = match framed.get(5..) {
        // An enum that is zero is left out.
        Some([]) => 0,
        Some([0x08, status, ..]) => *status,
        _ => return Err(Failed::Target(format!("answered {}, which is no health of gRPC", quoted(framed)))),
    };
    match said {
        1 => Ok(Seen::Well(format!("answered SERVING{of}"))),
        0 => Err(Failed::Target(format!("answered UNKNOWN{of}"))),
        2 => Err(Failed::Target(format!("answered NOT_SERVING{of}"))),
        3 => Err(Failed::Target(format!("answered SERVICE_UNKNOWN{of}; correct grpc.service"))),
        other => Err(Failed::Target(format!("answered the unknown status {other}{of}"))),
    }
}

/// What a status of gRPC says of the target. One that is overloaded serves, as one that answers 429 does.
fn refused(code: u16, headers: &http::HeaderMap, check: &Grpc) -> Result<Seen, Failed> {
    const RESOURCE_EXHAUSTED: u16 = 8;
    let said =
        headers.get("grpc-message").map(|message| format!(" {}", quoted(message.as_bytes()))).unwrap_or_default();
    let of = of(check);
    let words = match code {
        5 => format!("answered NOT_FOUND{of}{said}; correct grpc.service"),
        12 => format!("does not serve grpc.health.v1.Health{said}; add the health service to the server"),
        RESOURCE_EXHAUSTED => return Ok(Seen::Warning(format!("answered RESOURCE_EXHAUSTED{of}{said}"))),
        code => format!("answered gRPC status {code}{of}{said}"),
    };
    Err(Failed::Target(words))
}

fn of(check: &Grpc) -> String {
    if check.service.is_empty() { String::new() } else { format!(" of {}", check.service) }
}

fn broken(error: &h2::Error) -> Failed {
    if let Some(fault) = local_in(error).or_else(|| error.get_io().and_then(|io| local_in(io))) {
        return Failed::Local(fault, None);
    }
    Failed::Target(match (error.get_io(), error.is_go_away(), error.is_remote()) {
        (Some(io), ..) if io.kind() == std::io::ErrorKind::UnexpectedEof => "was closed without an answer".to_owned(),
        (Some(io), ..) => format!("broke off: {io}"),
        (None, true, false) => format!("got an answer that is not HTTP/2 ({error})"),
        (None, ..) => format!("broke off: {error}"),
    })
}
