//! One attempt to have a readiness page say that all is well.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::problem::Problem;

/// A page over plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// `HOST:PORT`
    authority: String,
    path: String,
}

/// Of a page that are read.
const BYTES_MAX: u64 = 64 * 1024;

// === impl Page ===

impl FromStr for Page {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give a URL with scheme http, host and port, such as http://rollcall-dns:9153/readyz".to_owned();
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, "/readyz".to_owned()),
        };
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let whole = authority
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
        if plain && whole { Ok(Self { authority: authority.to_owned(), path }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// Gets the page. What it says, if it says 200.
pub async fn ask(page: &Page, patience: Duration) -> Result<String, Problem> {
    let bytes = match timeout(patience, get(page)).await {
        Ok(read) => read.map_err(|error| Problem::NoPage(error.to_string()))?,
        Err(_) => return Err(Problem::NoPage(format!("{} s have passed", patience.as_secs()))),
    };
    match parse(&String::from_utf8_lossy(&bytes)) {
        Some((200, _)) => Ok("200 ready".to_owned()),
        Some((status, body)) => Err(Problem::Status { status, body }),
        None => Err(Problem::NoPage("it is no HTTP".to_owned())),
    }
}

async fn get(page: &Page) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(&page.authority).await?;
    let Page { authority, path } = page;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(BYTES_MAX).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// The status and the body, in one line.
fn parse(response: &str) -> Option<(u16, String)> {
    let (head, body) = response.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let lines = body.lines().map(str::trim).filter(|line| !line.is_empty());
    Some((status, lines.collect::<Vec<_>>().join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_plain_http_with_a_port_and_readyz_unless_it_says_so() {
        let page: Page = "http://rollcall-dns:9153".parse().unwrap();
        assert_eq!(page.to_string(), "http://rollcall-dns:9153/readyz");
        assert_eq!("http://[fd00::a]:80/x?y".parse::<Page>().unwrap().to_string(), "http://[fd00::a]:80/x?y");
        for bad in ["https://a:1", "http://a", "http://:1", "http://a:0", "a:1", "http://a:1/ x", "http://a:1/\r\nb: c"]
        {
            assert!(bad.parse::<Page>().unwrap_err().contains("scheme http"), "{bad}");
        }
    }

    #[test]
    fn status_and_body_are_read_in_one_line() {
        let response = "HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\nnot ready: a\n\nnot ready: b\n";
        assert_eq!(parse(response), Some((503, "not ready: a; not ready: b".to_owned())));
        assert_eq!(parse("SSH-2.0\r\n\r\n"), None);
    }
}
