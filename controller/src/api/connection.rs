//! One connection: HTTP/1.1 or HTTP/2, with its deadlines.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
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
/// Windows of HTTP/2: bodies are small, and what is read ahead is memory.
const WINDOW_BYTES: u32 = 64 * 1024;
/// What of a client's headers is remembered (RFC 7541 §4.2): nothing. Paths differ, tokens are not to be kept, and each field that is
/// remembered keeps the buffer into which it was read, with the token beside it.
const HEADER_TABLE_BYTES: u32 = 0;

/// Serves until the client is done, a deadline has passed, or, after `stop`, what has begun is answered.
pub(super) async fn serve(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    protocol: Protocol,
    (api, peer): (Arc<Api>, Peer),
    stop: CancellationToken,
) {
    let begun = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&begun);
    let service = service_fn(move |request: http::Request<Incoming>| {
        asked.store(true, Relaxed);
        Arc::clone(&api).respond(request, peer.clone())
    });
    let io = TokioIo::new(Stall::new(io, STALL));
    let result = match protocol {
        Protocol::Http1 => {
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE)
                .max_headers(HEADERS_MAX)
                .max_buf_size(HEADER_BYTES_MAX)
                .serve_connection(io, service);
            until(serving, |serving| serving.graceful_shutdown(), &begun, &stop).await
        }
        Protocol::Http2 => {
            let serving = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(HEADER_BYTES_MAX as u32)
                .header_table_size(HEADER_TABLE_BYTES)
                .initial_stream_window_size(WINDOW_BYTES)
                .initial_connection_window_size(2 * WINDOW_BYTES)
                .max_send_buf_size(WINDOW_BYTES as usize)
                .keep_alive_interval(PING_EACH)
                .keep_alive_timeout(PING_TIMEOUT)
                .serve_connection(io, service);
            until(serving, |serving| serving.graceful_shutdown(), &begun, &stop).await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection to the API port ended");
    }
}

/// Serves until the end, or until the first request has not come in time; what has begun at `stop` is answered.
async fn until<C: Future<Output = hyper::Result<()>>>(
    serving: C,
    shut_down: fn(Pin<&mut C>),
    begun: &AtomicBool,
    stop: &CancellationToken,
) -> hyper::Result<()> {
    tokio::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => result,
        () = silent(begun) => Ok(()),
        () = stop.cancelled() => {
            shut_down(serving.as_mut());
            serving.await
        }
    }
}

/// Ends when the first request has not come in time.
async fn silent(begun: &AtomicBool) {
    tokio::time::sleep(FIRST_REQUEST).await;
    if begun.load(Relaxed) {
        std::future::pending::<()>().await;
    }
}
