//! One question to one server.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, FLAG_TC};
use super::message::{Asked, Verdict};

/// Why a server gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It said nothing in time.
    Silent,
    /// Nothing listens there, or there is no way to it.
    Unreachable,
    /// It answered with what cannot be read.
    Malformed,
    /// It knows no OPT record (RFC 6891 §7): it is to be asked without one.
    NoEdns,
    /// This machine has no socket to ask from.
    NoSocket,
    /// What came may be from somebody else: it is to be asked over TCP.
    Doubtful,
}

/// What is invited is 1,232 bytes; a server that sends more than it was invited to is read all the same.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// Asks over UDP, from a socket and so from a random port of its own, that takes datagrams of this server alone (RFC 5452
/// §9.2). `on_stranger` is told of each that is not the answer; waiting goes on.
pub async fn udp(
    server: SocketAddr,
    asked: &Asked,
    deadline: Instant,
    on_stranger: impl Fn(),
) -> Result<Answer, Failure> {
    let exchange = async {
        let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.map_err(|_| Failure::NoSocket)?;
        socket.connect(server).await.map_err(|_| Failure::Unreachable)?;
        socket.send(asked.wire()).await.map_err(|_| Failure::Unreachable)?;
        loop {
            let mut bytes = Vec::with_capacity(DATAGRAM_BYTES_MAX + 1);
            // An ICMP error: nothing listens there.
            socket.recv_buf(&mut bytes).await.map_err(|_| Failure::Unreachable)?;
            match asked.judge(cut(bytes)) {
                Verdict::Answer(answer) => return Ok(answer),
                Verdict::Stranger => on_stranger(),
                Verdict::Doubtful => return Err(Failure::Doubtful),
                Verdict::NoEdns => return Err(Failure::NoEdns),
                Verdict::Malformed => return Err(Failure::Malformed),
            }
        }
    };
    timeout_at(deadline, exchange).await.unwrap_or(Err(Failure::Silent))
}

/// A longer datagram is as good as one that its server cut.
fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() > DATAGRAM_BYTES_MAX {
        bytes.truncate(DATAGRAM_BYTES_MAX);
        bytes[2] |= FLAG_TC;
    }
    bytes
}

/// Asks over TCP, on a connection of its own.
pub async fn tcp(server: SocketAddr, asked: &Asked, deadline: Instant) -> Result<Answer, Failure> {
    let exchange = async {
        let bytes = stream(server, asked).await.map_err(|_| Failure::Unreachable)?;
        read(asked, bytes)
    };
    timeout_at(deadline, exchange).await.unwrap_or(Err(Failure::Silent))
}

/// What came over a stream.
pub(super) fn read(asked: &Asked, bytes: Vec<u8>) -> Result<Answer, Failure> {
    match asked.judge_stream(bytes) {
        Verdict::Answer(answer) => Ok(answer),
        Verdict::NoEdns => Err(Failure::NoEdns),
        Verdict::Stranger | Verdict::Doubtful | Verdict::Malformed => Err(Failure::Malformed),
    }
}

async fn stream(server: SocketAddr, asked: &Asked) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    // A question has at most 12 + 255 + 4 + 11 bytes, and 44 of a cookie.
    let len = asked.wire().len() as u16;
    stream.write_all(&[&len.to_be_bytes()[..], asked.wire()].concat()).await?;
    let len = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(len)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
