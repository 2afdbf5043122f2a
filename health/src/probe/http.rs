//! An HTTP request, on a connection of its own as a new caller would make it.

mod redirect;

use std::pin::pin;
use std::time::Duration;

use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use self::redirect::{Redirect, redirect};
use super::asking::Asking;
use super::dial::{Close, Dial};
use super::driven::Driven;
use super::fault::{Failed, local_in};
use super::progress::Progress;
use super::stream::Opener;
use super::tls::Alpn;
use super::words::quoted;
use super::{Seen, contains};
use crate::definition::Http;

const USER_AGENT: &str = concat!("rollcall-check/", env!("CARGO_PKG_VERSION"));
/// As much of a body is read as kubelet reads.
const BODY_BYTES_MAX: usize = 10 * 1024;
/// For as long, where nothing is sought in it: the status has decided, reading on is politeness.
const BODY_TIME_MAX: Duration = Duration::from_secs(1);
/// Of everything before the body, with the informational answers (RFC 9110 §15.2) that may come before the answer.
const HEAD_BYTES_MAX: usize = 256 * 1024;
/// Curl takes 5,000; each costs 64 bytes while an answer is parsed.
const HEADERS_MAX: usize = 8192;

/// What came back.
struct Answer {
    status: u16,
    /// Where else to ask.
    location: Option<Vec<u8>>,
    /// The beginning of the body.
    body: Vec<u8>,
}

/// Asks, and follows redirects as far as the check lets it.
pub(super) async fn ask<D: Dial>(
    opener: &Opener<'_, D>,
    http: &Http,
    deadline: Instant,
    progress: &Progress,
) -> Result<Seen, Failed> {
    let mut path = http.path.to_string();
    let mut asked = std::borrow::Cow::Borrowed(http);
    for followed in 0..=http.redirects_max {
        let answer = once(opener, &asked, &path, deadline, progress).await?;
        let location = answer.location.as_deref().filter(|_| http.redirects_max > 0);
        let Some(location) = location else { return judge(http, &answer) };
        path = match redirect(location, opener.target, http, &path) {
            Redirect::Here(path) => path,
            Redirect::Elsewhere => {
                return Ok(Seen::Warning(format!(
                    "answered {} and sends elsewhere, to {}, which is not followed",
                    answer.status,
                    quoted(location)
                )));
            }
        };
        if matches!(answer.status, 301..=303) && &*asked.method != "HEAD" {
            // As browsers do (RFC 9110 §15.4): what was sent has arrived.
            let asked = asked.to_mut();
            (asked.method, asked.body) = ("GET".into(), None);
        }
        progress.saw(format!("was redirected {} times, lastly to {}", followed + 1, quoted(path.as_bytes())));
    }
    let words = format!("was redirected more than {} times, lastly to {}", http.redirects_max, quoted(path.as_bytes()));
    Err(Failed::Target(words))
}

fn judge(http: &Http, answer: &Answer) -> Result<Seen, Failed> {
    let status = answer.status;
    if !http.statuses.contains(status) {
        let said = if answer.body.is_empty() { String::new() } else { format!(": {}", quoted(&answer.body)) };
        let words = format!("answered {status}{said}");
        // It is there, and asks for less: taking it out would send its calls to the others.
        return if status == 429 { Ok(Seen::Warning(words)) } else { Err(Failed::Target(words)) };
    }
    match &http.contains {
        Some(wanted) if !contains(&answer.body, wanted.as_bytes()) => {
            Err(Failed::Target(lacks(status, answer, wanted)))
        }
        _ => Ok(Seen::Well(format!("answered {status}"))),
    }
}

fn lacks(status: u16, answer: &Answer, wanted: &str) -> String {
    format!("answered {status}, but without {} in its body: {}", quoted(wanted.as_bytes()), quoted(&answer.body))
}

/// One request, and the beginning of its body so that the server need not see a caller who hangs up.
async fn once<D: Dial>(
    opener: &Opener<'_, D>,
    http: &Http,
    path: &str,
    deadline: Instant,
    progress: &Progress,
) -> Result<Answer, Failed> {
    let bytes_max = HEAD_BYTES_MAX + BODY_BYTES_MAX;
    let stream = opener.open(Close::Reset, bytes_max, http.tls.as_ref(), Alpn::Http1, http.host.as_deref()).await?;
    // What a browser or curl would take as well: the status decides, not the form of a header.
    let (mut sender, connection) = http1::Builder::new()
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(Asking::new(stream)))
        .await
        .map_err(|error| broken(&error))?;
    let request = request(opener, http, path)?;
    let connection = pin!(connection);
    let mut connection = Driven::new(connection);
    let response = connection.beside(sender.send_request(request)).await.map_err(|error| broken(&error))?;
    let status = response.status();
    let leads = matches!(status.as_u16(), 300..=303 | 307 | 308);
    let location = response.headers().get(header::LOCATION).filter(|_| leads);
    let location = location.map(|location| location.as_bytes().to_vec());
    let sought = http.contains.as_deref().filter(|_| http.statuses.contains(status.as_u16()) && location.is_none());
    let mut answer = Answer { status: status.as_u16(), location, body: Vec::new() };
    if let Some(wanted) = sought {
        progress.saw(lacks(answer.status, &answer, wanted));
        let body = beginning(response, &mut answer.body, |body| contains(body, wanted.as_bytes()));
        connection.beside(body).await;
    } else {
        let until = deadline.min(Instant::now() + BODY_TIME_MAX);
        let body = tokio::time::timeout_at(until, beginning(response, &mut answer.body, |_| false));
        // However the body ends: a server that streams for ever is well.
        let _ = connection.beside(body).await;
    }
    Ok(answer)
}

fn request<D>(opener: &Opener<'_, D>, http: &Http, path: &str) -> Result<Request<Full<Bytes>>, Failed> {
    let host = http.host.as_deref().map_or_else(|| opener.target.to_string(), str::to_owned);
    let mut request = Request::builder().method(&*http.method).uri(path).header(header::HOST, host);
    if !http.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(header::USER_AGENT.as_str())) {
        request = request.header(header::USER_AGENT, USER_AGENT);
    }
    for (name, value) in &*http.headers {
        request = request.header(&**name, &**value);
    }
    let body = http.body.as_deref().unwrap_or_default().as_bytes().to_vec();
    request
        .header(header::CONNECTION, "close")
        .body(Full::new(body.into()))
        .map_err(|error| Failed::Target(format!("cannot be asked: {error}")))
}

/// Reads as much as is kept of a body, or until it is enough.
async fn beginning(response: Response<Incoming>, read: &mut Vec<u8>, enough: impl Fn(&[u8]) -> bool) {
    let mut body = response.into_body();
    while read.len() < BODY_BYTES_MAX && !enough(read) {
        let Some(Ok(frame)) = body.frame().await else { return };
        let Some(data) = frame.data_ref() else { continue };
        let room = BODY_BYTES_MAX - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
    }
}

fn broken(error: &hyper::Error) -> Failed {
    if let Some(fault) = local_in(error) {
        return Failed::Local(fault, None);
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
