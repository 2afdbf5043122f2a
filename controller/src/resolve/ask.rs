//! Asks the system's name servers for the addresses of a name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::hosts::{Answer, Family};
use super::message::{self, Reply};
use crate::time::random;

/// One server has as long as this, and each is asked twice.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
const ROUNDS: usize = 2;
/// As many servers of the file are asked as resolvers ask (resolv.conf(5)).
const SERVERS_MAX: usize = 3;
const UDP_BYTES_MAX: usize = 4096;

/// The addresses of both families, from the servers in a resolv.conf(5), which is read each time: it may change.
pub(super) async fn addresses(host: &str, resolv_conf: &Path) -> Answer {
    let text = tokio::fs::read_to_string(resolv_conf).await.unwrap_or_default();
    let servers = servers(&text);
    let (v4, v6) = tokio::join!(family(host, RecordType::A, &servers), family(host, RecordType::AAAA, &servers));
    Answer { families: [v4, v6] }
}

/// The name servers of a resolv.conf; `ADDRESS:PORT` is understood too, for tests and for who has them elsewhere.
fn servers(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let word = words.next().filter(|key| *key == "nameserver").and_then(|_| words.next())?;
        word.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)).or_else(|_| word.parse()).ok()
    };
    text.lines().filter_map(server).take(SERVERS_MAX).collect()
}

async fn family(host: &str, rtype: RecordType, servers: &[SocketAddr]) -> Family {
    let mut why = "no name server is configured; give the controller one in its resolv.conf (dnsPolicy)".to_owned();
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        match tokio::time::timeout(SERVER_TIMEOUT, exchange(host, rtype, *server)).await {
            Ok(Ok(Family::Failed(said))) => why = said,
            Ok(Ok(family)) => return family,
            Ok(Err(error)) => why = format!("name server {server}: {error}"),
            Err(_) => why = format!("name server {server} gave no answer within {} s", SERVER_TIMEOUT.as_secs()),
        }
    }
    Family::Failed(why)
}

async fn exchange(host: &str, rtype: RecordType, server: SocketAddr) -> io::Result<Family> {
    let id = (random::fraction() * f64::from(u16::MAX)) as u16;
    let question = message::question(id, host, rtype).map_err(io::Error::other)?;
    // A socket for each question: its port is a part of what a forger has to guess (RFC 5452 §9.2).
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut datagram = [0; UDP_BYTES_MAX];
    loop {
        let length = socket.recv(&mut datagram).await?;
        match message::read(&datagram[..length], id, host, rtype) {
            Reply::Answer(family) => return Ok(family),
            Reply::Truncated => return by_tcp(&question, id, host, rtype, server).await,
            Reply::Stranger => {}
        }
    }
}

async fn by_tcp(question: &[u8], id: u16, host: &str, rtype: RecordType, server: SocketAddr) -> io::Result<Family> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(question).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    match message::read(&answer, id, host, rtype) {
        Reply::Answer(family) => Ok(family),
        Reply::Truncated | Reply::Stranger => Err(io::Error::other("it answered something else than was asked")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_those_of_the_file() {
        let text = "search a.example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\nnameserver 127.0.0.1:5353\n";
        let servers: Vec<_> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:53", "127.0.0.1:5353"]);
    }
}
