//! One attempt to have a name resolved.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};

use super::names::Wanted;
use super::problem::Problem;
use crate::answer::Transport;
use crate::forward::answer::Answer;
use crate::forward::exchange::{self, Failure};
use crate::forward::message::{Asked, Flags, Ids};
use crate::forward::target::DNS_PORT;

/// A server by address or name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: u16,
}

// === impl Server ===

impl Server {
    /// Its address, by the system's resolver if it has a name.
    async fn address(&self, patience: Duration) -> Result<SocketAddr, Problem> {
        let found = timeout(patience, lookup_host((self.host.as_str(), self.port))).await;
        let first = found
            .map_err(|_| "no answer".to_owned())
            .and_then(|found| found.map_err(|error| error.to_string())?.next().ok_or_else(|| "no address".to_owned()));
        first.map_err(|why| Problem::UnknownHost(self.host.clone(), why))
    }
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Without brackets all of it is an address, if it can be one.
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, DNS_PORT).into());
        }
        let read = || {
            let (host, port) = split(text)?;
            let port = if port.is_empty() { DNS_PORT } else { port.strip_prefix(':')?.parse().ok()? };
            (port > 0).then_some(Self { host, port })
        };
        read().ok_or_else(|| {
            "give an address or a name, with a port if it is not 53, such as 10.96.0.10 or rollcall-dns:1053".to_owned()
        })
    }
}

/// The host, and the port with the colon before it, if there is one. In brackets stands an address of either family: who
/// has it from a variable does not know which one it is.
fn split(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return Some((host.parse::<IpAddr>().ok()?.to_string(), port));
    }
    let (host, port) = text.split_at(text.rfind(':').unwrap_or(text.len()));
    (!host.is_empty() && !host.contains([':', '/', '[', ']'])).then(|| (host.to_owned(), port))
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brackets = self.host.contains(':');
        if brackets { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// Asks for the whole names in turn. What the first one with data has, in words.
pub async fn ask(
    server: &Server,
    wanted: &Wanted,
    transport: Transport,
    patience: Duration,
) -> Result<String, Problem> {
    let address = server.address(patience).await?;
    let mut problems = Vec::new();
    for name in &wanted.candidates {
        match ask_for(address, name, wanted.rtypes, transport, patience).await {
            Ok(answer) => return Ok(answer),
            // The next name would fare no better.
            Err(problem @ Problem::Failure { .. }) if problems.is_empty() => return Err(problem),
            Err(problem) => problems.push(problem),
        }
    }
    // Most likely meant is a long name as it is, and a short one with the last search domain: that is to be told. A
    // short one as it is was a guess.
    if !wanted.is_short {
        problems.reverse();
    } else if problems.len() > 1 {
        problems.pop();
    }
    Err(problems.into_iter().max_by_key(Problem::weight).unwrap_or(Problem::NoServer))
}

/// The data of all types: each must be answered, one of them must have some.
async fn ask_for(
    server: SocketAddr,
    name: &Name,
    rtypes: &[RecordType],
    transport: Transport,
    patience: Duration,
) -> Result<String, Problem> {
    let mut found = Vec::new();
    for rtype in rtypes {
        let (answer, message) = exchange(server, name, *rtype, transport, patience).await?;
        match answer.rcode() {
            ResponseCode::NoError if has_data(&message, *rtype) => found.extend(told(&message)),
            ResponseCode::NoError => {}
            ResponseCode::NXDomain => return Err(Problem::NoSuchName(name.clone())),
            code => return Err(Problem::Code { name: name.clone(), code, extended: answer.extended_error() }),
        }
    }
    if found.is_empty() { Err(Problem::NoData(name.clone())) } else { Ok(format!("{name} {}", found.join(" "))) }
}

async fn exchange(
    server: SocketAddr,
    name: &Name,
    rtype: RecordType,
    transport: Transport,
    patience: Duration,
) -> Result<(Answer, Message), Problem> {
    let flags = Flags { recursion_desired: true, ..Flags::default() };
    let plain = Asked::plain(&Ids::default(), name, rtype, flags);
    let mut asked = Asked::plain(&Ids::default(), name, rtype, flags);
    asked.add_edns(false);
    let deadline = Instant::now() + patience;
    let mut answer = ask_once(server, &asked, transport, deadline).await;
    if matches!(answer, Err(Failure::NoEdns)) {
        answer = ask_once(server, &plain, transport, deadline).await;
    }
    let decoded = answer.and_then(|answer| {
        let message = answer.decode().ok_or(Failure::Malformed)?;
        Ok((answer, message))
    });
    decoded.map_err(|failure| Problem::Failure { server, transport, failure })
}

async fn ask_once(
    server: SocketAddr,
    asked: &Asked,
    transport: Transport,
    deadline: Instant,
) -> Result<Answer, Failure> {
    match transport {
        Transport::Udp => exchange::udp(server, asked, deadline, || {}).await,
        Transport::Tcp => exchange::tcp(server, asked, deadline).await,
    }
}

/// Whether there is a record of the type: a CNAME may lead to a name that has none. What was cut may have had one.
fn has_data(message: &Message, rtype: RecordType) -> bool {
    message.metadata.truncation || message.answers.iter().any(|record| record.record_type() == rtype)
}

/// The records in words; a few of them stand for many.
fn told(message: &Message) -> Vec<String> {
    const SHOWN: usize = 4;
    let all: Vec<_> =
        message.answers.iter().map(|record| format!("{} {}", record.record_type(), record.data)).collect();
    let more = all.len().saturating_sub(SHOWN);
    let mut shown: Vec<_> = all.into_iter().take(SHOWN).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    if message.metadata.truncation {
        shown.push("(cut to the datagram)".to_owned());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_or_a_name_with_port_53_unless_it_says_so() {
        for (text, expected) in [
            ("10.96.0.10", "10.96.0.10:53"),
            ("10.96.0.10:1053", "10.96.0.10:1053"),
            ("fd00::a", "[fd00::a]:53"),
            ("[fd00::a]:1053", "[fd00::a]:1053"),
            ("[fd00::a]", "[fd00::a]:53"),
            ("[10.96.0.1]:1053", "10.96.0.1:1053"),
            ("[10.96.0.1]", "10.96.0.1:53"),
            ("fd00::1:53", "[fd00::1:53]:53"),
            ("rollcall-dns", "rollcall-dns:53"),
            ("rollcall-dns.rollcall-system.svc:1053", "rollcall-dns.rollcall-system.svc:1053"),
        ] {
            assert_eq!(text.parse::<Server>().unwrap().to_string(), expected);
        }
        for bad in [
            "",
            ":53",
            "dns:",
            "dns:0",
            "dns:x",
            "http://dns:53",
            "a:b:53",
            "[]:53",
            "[dns]:53",
            "[fd00::a",
            "fd00::a]:53",
            "[fd00::a]53",
            "[fd00::a]:",
            "[10.96.0.1]:0",
            "10.96.0.1:70000",
        ] {
            assert!(bad.parse::<Server>().unwrap_err().contains("such as 10.96.0.10"), "{bad}");
        }
    }
}
