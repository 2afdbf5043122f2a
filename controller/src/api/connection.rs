//! One connection: HTTP/1.1 or HTTP/2, with its deadlines.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rollcall_http2::{self as http2, Connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::respond::{Api, Peer};
use super::stall::Stall;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// For the first request, from the end of the handshake on.
pub(super) const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// Between requests of HTTP/1.1, and for the headers of one.
const IDLE: Duration = Duration::from_secs(60);
/// Of a request's headers: a token of 8 KiB, and what clients add.
const HEADER_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Requests at a time on a connection of HTTP/2: as many as clients expect (RFC 9113 §6.5.2).
const STREAMS_MAX: u32 = 128;
/// A peer that does not answer a ping is dead.
const PING_EACH: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that reads nothing of its answers for so long is let go.
const STALL: Duration = Duration::from_secs(30);
/// What the headers of a request cost is paid for by its answer.
const FRAMES_PER_ANSWER: u32 = 512;
/// Windows of HTTP/2: bodies are small, and what is read ahead is memory.
const LIMITS: http2::Limits = http2::Limits {
    streams_max: STREAMS_MAX,
    header_bytes_max: HEADER_BYTES_MAX,
    stream_window_bytes: http2::Limits::WINDOW_BYTES_MIN,
    connection_window_bytes: 2 * http2::Limits::WINDOW_BYTES_MIN,
    preface: FIRST_REQUEST,
    ping_after: PING_EACH,
    ping_timeout: PING_TIMEOUT,
    stall: STALL,
    age: None,
    frames_per_answer: FRAMES_PER_ANSWER,
};

/// Serves until the client is done, a deadline has passed, or, after `stop`, what has begun is answered.
pub(super) async fn serve(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    protocol: Protocol,
    (api, peer): (Arc<Api>, Peer),
    stop: CancellationToken,
) {
    let begun = AtomicBool::new(false);
    match protocol {
        Protocol::Http1 => {
            let service = service_fn(|request: http::Request<Incoming>| {
                begun.store(true, Relaxed);
                Arc::clone(&api).respond(request, peer.clone()).map(Ok::<_, Infallible>)
            });
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE)
                .max_headers(HEADERS_MAX)
                .max_buf_size(HEADER_BYTES_MAX)
                .serve_connection(TokioIo::new(Stall::new(io, STALL)), service);
            until(serving, |serving| serving.graceful_shutdown(), &begun, &stop).await;
        }
        Protocol::Http2 => {
            let serving = Connection::new(io, LIMITS, |request| {
                begun.store(true, Relaxed);
                Arc::clone(&api).respond(request, peer.clone())
            });
            until(serving, |serving| serving.get_mut().shut_down(), &begun, &stop).await;
        }
    }
}

/// Serves until the end, or until the first request has not come in time; what has begun at `stop` is answered.
async fn until<C: Future<Output = Result<(), E>>, E: std::fmt::Display>(
    serving: C,
    shut_down: fn(Pin<&mut C>),
    begun: &AtomicBool,
    stop: &CancellationToken,
) {
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = silent(begun) => Ok(()),
        () = stop.cancelled() => {
            shut_down(serving.as_mut());
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection to the API port ended");
    }
}

/// Ends when the first request has not come in time.
async fn silent(begun: &AtomicBool) {
    tokio::time::sleep(FIRST_REQUEST).await;
    if begun.load(Relaxed) {
        std::future::pending::<()>().await;
    }
}
