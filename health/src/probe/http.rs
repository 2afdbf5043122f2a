//! A GET, on a connection of its own as a new caller would make it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use http::{Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::bounded::Bounded;
use super::dial::{Close, Dial};
use super::fault::{Failed, connecting, local_in};

const USER_AGENT: &str = concat!("rollcall-check/", env!("CARGO_PKG_VERSION"));
/// As much of a body is read as kubelet reads.
const BODY_BYTES_MAX: usize = 10 * 1024;
/// For as long: the status has decided, reading on is politeness.
const BODY_TIME_MAX: Duration = Duration::from_secs(1);
/// Of everything before the body, with the informational answers (RFC 9110 §15.2) that may come before the answer.
const HEAD_BYTES_MAX: usize = 256 * 1024;
/// More than any server sends; each costs memory while an answer is parsed.
const HEADERS_MAX: usize = 4096;

/// Asks, and reads the beginning of the body so that the server need not see a caller who hangs up.
pub(super) async fn get(
    dialer: &impl Dial,
    target: SocketAddr,
    path: &str,
    host: Option<&str>,
    deadline: Instant,
) -> Result<String, Failed> {
    let stream = dialer.dial(target, Close::Reset).await.map_err(connecting)?;
    let stream = TokioIo::new(Bounded::new(stream, HEAD_BYTES_MAX + BODY_BYTES_MAX));
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(stream)
        .await
        .map_err(|error| broken(&error))?;
    let request = Request::get(path)
        .header(header::HOST, host.map_or_else(|| target.to_string(), str::to_owned))
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failed::Target(format!("cannot be asked: {error}")))?;
    // Driven here and not in a task: when the probe ends or is given up, the connection is gone with it.
    let mut connection = Driven { connection: pin!(connection), ended: false };
    let response = connection.beside(sender.send_request(request)).await.map_err(|error| broken(&error))?;
    let status = response.status();
    let body = tokio::time::timeout_at(deadline.min(Instant::now() + BODY_TIME_MAX), beginning(response));
    // However the body ends: a server that streams for ever is well.
    let _ = connection.beside(body).await;
    let saw = format!("answered {}", status.as_u16());
    if status.is_success() || status.is_redirection() { Ok(saw) } else { Err(Failed::Target(saw)) }
}

async fn beginning(response: Response<Incoming>) {
    let mut body = response.into_body();
    let mut left = BODY_BYTES_MAX;
    while left > 0 {
        let Some(Ok(frame)) = body.frame().await else { return };
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
    }
}

/// A connection that makes progress while something else is awaited.
struct Driven<'a, C> {
    connection: Pin<&'a mut C>,
    ended: bool,
}

// === impl Driven ===

impl<C: Future> Driven<'_, C> {
    /// Awaits `wanted`. A server may close as soon as it has answered: the answer is there all the same.
    async fn beside<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            if !self.ended {
                self.ended = self.connection.as_mut().poll(cx).is_ready();
            }
            wanted.as_mut().poll(cx)
        })
        .await
    }
}

fn broken(error: &hyper::Error) -> Failed {
    if let Some(fault) = local_in(error) {
        return Failed::Local(fault);
    }
    let inner = std::error::Error::source(error);
    Failed::Target(if error.is_parse_too_large() {
        format!("answered with more than {HEADERS_MAX} headers or {} KiB of them", HEAD_BYTES_MAX / 1024)
    } else if error.is_parse() {
        format!("got an answer that is not HTTP ({error})")
    } else if let Some(inner) = inner {
        format!("broke off: {inner}")
    } else if error.is_canceled() || error.is_incomplete_message() || error.is_closed() {
        "was closed without an answer".to_owned()
    } else {
        format!("broke off: {error}")
    })
}
