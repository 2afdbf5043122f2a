//! Taking an address for UDP and TCP.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use rollcall_admin::ports::{PortError, Setting};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::holder::Held;

/// How people set the addresses.
pub const SETTING: Setting = Setting { flag: "--listen", value: "dns.listenPort" };

/// The same for DNS over TLS.
pub const TLS_SETTING: Setting = Setting { flag: "--tls-listen", value: "dns.tls.port" };

/// The same for DNS over HTTP/2.
pub const HTTPS_SETTING: Setting = Setting { flag: "--https-listen", value: "dns.tls.httpsPort" };

/// What is spoken at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// DNS, over UDP and TCP.
    Dns,
    /// DNS over TLS.
    Tls,
    /// DNS over HTTP/2 over TLS.
    Https,
}

/// One address to answer on, and its sockets once they could be had.
#[derive(Debug)]
pub struct Front {
    /// As asked for; with port 0 the one that was found.
    pub addr: SocketAddr,
    /// What is spoken there.
    pub speaks: Speaks,
    bound: Option<Bound>,
    workers: usize,
    held: Held,
}

/// The sockets of one address.
#[derive(Debug)]
pub struct Bound {
    /// One for each worker; the kernel spreads clients over them. None where TLS is spoken.
    pub udp: Vec<UdpSocket>,
    /// For TCP, on the same port, or for TLS.
    pub tcp: TcpListener,
    /// Where they listen.
    pub addr: SocketAddr,
}

/// Datagrams that may wait for a worker, in bytes: bursts of resolvers at a start pass through it.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 512;
/// Attempts to find a port that is free for both protocols, when any will do.
const ATTEMPTS: usize = 16;

// === impl Front ===

impl Front {
    /// Tries once to take the address, by the sockets that are held for it if there are any. Must be called within a runtime.
    pub fn new(addr: SocketAddr, workers: usize, held: Held) -> Self {
        let workers = workers.max(1);
        let bound = bind(addr, workers, &held).ok();
        Self { addr: bound.as_ref().map_or(addr, |bound| bound.addr), speaks: Speaks::Dns, bound, workers, held }
    }

    /// The same for streams alone, with TLS.
    pub fn of_tls(addr: SocketAddr, speaks: Speaks, held: Held) -> Self {
        let bound = bind_streams(addr, speaks, &held).ok();
        Self { addr: bound.as_ref().map_or(addr, |bound| bound.addr), speaks, bound, workers: 0, held }
    }

    /// Its sockets, once; tries again when there are none yet.
    pub fn take(&mut self) -> Result<Bound, PortError> {
        let bind = || match self.speaks {
            Speaks::Dns => bind(self.addr, self.workers, &self.held),
            Speaks::Tls | Speaks::Https => bind_streams(self.addr, self.speaks, &self.held),
        };
        self.bound.take().map_or_else(bind, Ok)
    }
}

/// Takes an address for both protocols. With port 0 a port that is free for both. An IPv6 address is for IPv6 alone, so
/// that `0.0.0.0:53` and `[::]:53` can be given together. Must be called within a runtime.
///
/// UDP sockets share the port with each other and with another process of the same user that allows it; the TCP listener
/// does not, so that a second server by mistake is found out.
pub fn bind(addr: SocketAddr, workers: usize, held: &Held) -> Result<Bound, PortError> {
    let mut result = bind_once(addr, workers, held);
    for _ in 0..ATTEMPTS {
        match result {
            Err(PortError::InUse(..)) if addr.port() == 0 => result = bind_once(addr, workers, held),
            Ok(_) | Err(_) => break,
        }
    }
    result
}

fn bind_once(addr: SocketAddr, workers: usize, held: &Held) -> Result<Bound, PortError> {
    let (tcp_name, udp_name) = (format!("tcp {addr}"), format!("udp {addr}"));
    // TCP first: while another process has the port, no query is taken from it by a UDP socket that shares it.
    let before = held.take(&tcp_name);
    let is_new = before.is_none();
    let tcp = listener(addr, before).map_err(|error| PortError::new(addr, SETTING, error))?;
    let bound = tcp.local_addr().map_err(|error| PortError::new(addr, SETTING, error))?;
    let before = std::iter::from_fn(|| held.take(&udp_name)).take(workers.max(1));
    let mut sockets: Vec<UdpSocket> = before.map(UdpSocket::from).collect();
    let known = sockets.len();
    while sockets.len() < workers.max(1) {
        sockets.push(udp(bound).map_err(|error| PortError::new(bound, SETTING, error))?);
    }
    if is_new {
        held.keep(&tcp_name, tcp.as_fd());
    }
    sockets[known..].iter().for_each(|socket| held.keep(&udp_name, socket.as_fd()));
    Ok(Bound { udp: sockets, tcp, addr: bound })
}

fn bind_streams(addr: SocketAddr, speaks: Speaks, held: &Held) -> Result<Bound, PortError> {
    let setting = || match speaks {
        Speaks::Dns => SETTING,
        Speaks::Tls => TLS_SETTING,
        Speaks::Https => HTTPS_SETTING,
    };
    let name = format!("{speaks:?} {addr}");
    let before = held.take(&name);
    let is_new = before.is_none();
    let tcp = listener(addr, before).map_err(|error| PortError::new(addr, setting(), error))?;
    if is_new {
        held.keep(&name, tcp.as_fd());
    }
    let addr = tcp.local_addr().map_err(|error| PortError::new(addr, setting(), error))?;
    Ok(Bound { udp: Vec::new(), tcp, addr })
}

fn udp(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(addr, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    // The system may allow less; a smaller buffer only drops more in a burst.
    drop(socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES));
    super::batch::tell_addresses(&socket, addr)?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// A listener, the one that was held before if there was one.
fn listener(addr: SocketAddr, before: Option<OwnedFd>) -> io::Result<TcpListener> {
    before.map_or_else(|| tcp(addr), |socket| TcpListener::from_std(socket.into()))
}

fn tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(addr, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?; // connections of the process before in TIME_WAIT
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn socket(addr: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn several_workers_share_a_port_and_a_second_server_is_refused_with_the_remedy() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 3, &Held::default()).unwrap();
        assert_eq!((bound.udp.len(), bound.tcp.local_addr().unwrap()), (3, bound.addr));
        let error = bind(bound.addr, 1, &Held::default()).unwrap_err().to_string();
        let port = format!("port {} on 127.0.0.1 is in use by another process", bound.addr.port());
        assert!(error.starts_with(&port) && error.contains("--listen (dns.listenPort"), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_named() {
        let error = bind("192.0.2.1:1053".parse().unwrap(), 1, &Held::default()).unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:1053") && error.contains("address of this machine"), "{error}");
    }
}
