//! GET and PUT over HTTP/1.1, no more than the harness needs to read admin pages and to call backends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// How long a connection, a read or a write may take. Who looks once must not fail because the machine is busy.
const BOUND: Duration = Duration::from_secs(60);

/// Gets a page; the connection, each read and each write within a minute.
pub fn get(server: SocketAddr, path: &str) -> Result<Response> {
    get_within(server, path, BOUND)
}

/// Gets a page; the connection, each read and each write within `bound`.
pub fn get_within(server: SocketAddr, path: &str, bound: Duration) -> Result<Response> {
    ask(server, "GET", path, ("", ""), bound)
}

/// Puts a body to a page, within the bounds of [`get`].
pub fn put(server: SocketAddr, path: &str, body: &str) -> Result<Response> {
    ask(server, "PUT", path, ("", body), BOUND)
}

/// Asks as the owner of a bearer token: a GET, or a PUT if there is a body.
pub fn ask_as(token: &str, server: SocketAddr, path: &str, body: Option<&str>) -> Result<Response> {
    let method = if body.is_some() { "PUT" } else { "GET" };
    let authorization = format!("Authorization: Bearer {token}\r\n");
    ask(server, method, path, (&authorization, body.unwrap_or_default()), BOUND)
}

fn ask(server: SocketAddr, method: &str, path: &str, (more, body): (&str, &str), bound: Duration) -> Result<Response> {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&server, bound)?;
        stream.set_read_timeout(Some(bound))?;
        stream.set_write_timeout(Some(bound))?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n{more}");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().with_context(|| format!("{method} http://{server}{path}"))?;
    parse(&answer).with_context(|| format!("the answer of http://{server}{path}"))
}

/// The page as JSON; an error for any status but 200.
pub fn get_json(server: SocketAddr, path: &str) -> Result<serde_json::Value> {
    let response = get(server, path)?;
    if response.status != 200 {
        bail!("http://{server}{path} answers {}: {}", response.status, response.body.trim());
    }
    serde_json::from_str(&response.body).with_context(|| format!("http://{server}{path} is not JSON"))
}

fn parse(answer: &[u8]) -> Result<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no end of the headers")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).context("no status code")?;
    let body = &answer[end + 4..];
    let chunked = head.lines().any(|line| line.starts_with("transfer-encoding:") && line.contains("chunked"));
    let body = if chunked { join_chunks(body)? } else { body.to_vec() };
    Ok(Response { status, body: String::from_utf8_lossy(&body).into_owned() })
}

/// RFC 9112 §7.1, without trailers.
fn join_chunks(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|window| window == b"\r\n").context("a chunk without a size")?;
        let size = std::str::from_utf8(&rest[..line_end])?.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).with_context(|| format!("chunk size {size:?}"))?;
        if size == 0 {
            return Ok(body);
        }
        let start = line_end + 2;
        body.extend_from_slice(rest.get(start..start + size).context("a chunk is cut off")?);
        rest = rest.get(start + size + 2..).context("a chunk is cut off")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_known_length_is_read() {
        let response = parse(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno").unwrap();
        assert_eq!(response, Response { status: 503, body: "no".into() });
    }

    #[test]
    fn chunks_are_joined() {
        let answer =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(parse(answer).unwrap().body, "abc0123456789");
    }

    #[test]
    fn an_answer_that_is_cut_off_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nabc").is_err());
    }
}
