//! One probe: a request, and what came of it in plain words.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use http::{Request, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rollcall_catalog::check::Outcome;
use rollcall_catalog::model::Name;
use tokio::net::TcpStream;

use super::plan::{Check, Kind};

const USER_AGENT: &str = concat!("rollcall-check/", env!("CARGO_PKG_VERSION"));

/// Probes `target` once. Never takes longer than the check's timeout.
pub async fn run(check: &Check, target: SocketAddr) -> Outcome {
    let attempt = async {
        match &check.kind {
            Kind::Tcp => tcp(target).await,
            Kind::Http { path, host } => http(target, path, host.as_deref()).await,
        }
    };
    let what = describe(check, target);
    match tokio::time::timeout(check.timeout, attempt).await {
        Ok(Ok(saw)) => Outcome::Success(reason(&what, &saw)),
        Ok(Err(saw)) => Outcome::Failure(reason(&what, &saw)),
        Err(_) => Outcome::Failure(reason(&what, &format!("got no answer within {}", seconds(check.timeout)))),
    }
}

/// Both in a sentence that fits into a status (1,024 bytes) and an Event (1 kB): a long path is cut, not what was seen.
fn reason(what: &str, saw: &str) -> Name {
    const WHAT_MAX: usize = 512;
    const SAW_MAX: usize = 256;
    format!("{} {}", cut(what, WHAT_MAX), cut(saw, SAW_MAX)).into()
}

fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return text.into();
    }
    let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end]).into()
}

fn describe(check: &Check, target: SocketAddr) -> String {
    match &check.kind {
        Kind::Tcp => format!("check {}: connection to {target}", check.name),
        Kind::Http { path, .. } => format!("check {}: GET http://{target}{path}", check.name),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

async fn tcp(target: SocketAddr) -> Result<String, String> {
    connect(target).await.map(|_| "was accepted".to_owned())
}

/// Sends one request on a connection of its own, as a new caller would, and reads no body.
async fn http(target: SocketAddr, path: &str, host: Option<&str>) -> Result<String, String> {
    let stream = TokioIo::new(connect(target).await?);
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| broken(&error))?;
    let request = Request::get(path)
        .header(header::HOST, host.map_or_else(|| target.to_string(), str::to_owned))
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("cannot be asked: {error}"))?;
    // Driven here and not in a task: when the probe ends or is given up, the connection is gone with it.
    let mut response = pin!(sender.send_request(request));
    let response = tokio::select! {
        biased;
        response = &mut response => response,
        // A server may close as soon as it has answered: the answer is there all the same.
        _ = connection => response.await,
    };
    let response = response.map_err(|error| broken(&error))?;
    let status = response.status();
    if status.is_success() || status.is_redirection() {
        Ok(format!("answered {}", status.as_u16()))
    } else {
        Err(format!("answered {}", status.as_u16()))
    }
}

async fn connect(target: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(target).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "was refused: nothing listens there".to_owned(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            format!("failed: no route there ({error})")
        }
        _ => format!("failed: {error}"),
    })
}

fn broken(error: &hyper::Error) -> String {
    if error.is_parse() {
        format!("got an answer that is not HTTP ({error})")
    } else if error.is_canceled() || error.is_incomplete_message() || error.is_closed() {
        "was closed without an answer".to_owned()
    } else {
        format!("broke off: {error}")
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::check::Thresholds;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn check(kind: Kind) -> Check {
        // Until an answer comes on a busy machine.
        let timeout = Duration::from_secs(30);
        Check {
            name: "web".into(),
            kind,
            port: "".into(),
            interval: Duration::from_secs(1),
            timeout,
            thresholds: Thresholds::default(),
        }
    }

    fn http() -> Check {
        check(Kind::Http { path: "/healthz".into(), host: None })
    }

    /// Accepts one connection, reads the request and says `answer`; with `None` it never answers.
    async fn server(answer: Option<&'static str>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.read(&mut [0; 1024]).await;
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).await.expect("an answer"),
                None => std::future::pending().await,
            }
        });
        address
    }

    async fn said(check: &Check, target: SocketAddr) -> String {
        match run(check, target).await {
            Outcome::Success(saw) => format!("ok: {saw}"),
            Outcome::Failure(saw) => format!("bad: {saw}"),
        }
    }

    #[tokio::test]
    async fn a_status_decides() {
        let up = server(Some("HTTP/1.1 204 No Content\r\n\r\n")).await;
        assert_eq!(said(&http(), up).await, format!("ok: check web: GET http://{up}/healthz answered 204"));
        let down = server(Some("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")).await;
        assert_eq!(said(&http(), down).await, format!("bad: check web: GET http://{down}/healthz answered 503"));
    }

    #[tokio::test]
    async fn a_hung_server_a_refusal_and_nonsense_are_told_apart() {
        let hung = server(None).await;
        let brief = Check { timeout: Duration::from_millis(300), ..http() };
        assert!(said(&brief, hung).await.ends_with("got no answer within 0.3 s"));
        let nonsense = server(Some("no http at all, this\r\n\r\n")).await;
        assert!(said(&http(), nonsense).await.contains("not HTTP"));
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        assert!(said(&check(Kind::Tcp), free).await.contains("nothing listens there"));
    }

    #[tokio::test]
    async fn a_long_path_is_cut_and_what_was_seen_is_not() {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let long = check(Kind::Http { path: format!("/{}", "ä".repeat(600)).into(), host: None });
        let said = said(&long, free).await;
        assert!(said.len() < 800 && said.ends_with("… was refused: nothing listens there"), "{said}");
    }

    #[tokio::test]
    async fn an_accepted_connection_is_enough_for_tcp() {
        let hung = server(None).await;
        assert_eq!(said(&check(Kind::Tcp), hung).await, format!("ok: check web: connection to {hung} was accepted"));
    }
}
