//! Taking an address for UDP and TCP.

use std::io;
use std::net::SocketAddr;

use rollcall_admin::ports::{PortError, Setting};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

/// How people set the addresses.
pub const SETTING: Setting = Setting { flag: "--listen", value: "dns.listenPort" };

/// One address to answer on, and its sockets once they could be had.
#[derive(Debug)]
pub struct Front {
    /// As asked for; with port 0 the one that was found.
    pub addr: SocketAddr,
    bound: Option<Bound>,
    workers: usize,
}

/// The sockets of one address.
#[derive(Debug)]
pub struct Bound {
    /// One for each worker; the kernel spreads clients over them.
    pub udp: Vec<UdpSocket>,
    /// For TCP, on the same port.
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
    /// Tries once to take the address. Must be called within a runtime.
    pub fn new(addr: SocketAddr, workers: usize) -> Self {
        let bound = bind(addr, workers).ok();
        Self { addr: bound.as_ref().map_or(addr, |bound| bound.addr), bound, workers }
    }

    /// Its sockets, once; tries again when there are none yet.
    pub fn take(&mut self) -> Result<Bound, PortError> {
        self.bound.take().map_or_else(|| bind(self.addr, self.workers), Ok)
    }
}

/// Takes an address for both protocols. With port 0 a port that is free for both. An IPv6 address is for IPv6 alone, so
/// that `0.0.0.0:53` and `[::]:53` can be given together. Must be called within a runtime.
///
/// UDP sockets share the port with each other and with another process of the same user that allows it; the TCP listener
/// does not, so that a second server by mistake is found out.
pub fn bind(addr: SocketAddr, workers: usize) -> Result<Bound, PortError> {
    let mut result = bind_once(addr, workers);
    for _ in 0..ATTEMPTS {
        match result {
            Err(PortError::InUse(..)) if addr.port() == 0 => result = bind_once(addr, workers),
            Ok(_) | Err(_) => break,
        }
    }
    result
}

fn bind_once(addr: SocketAddr, workers: usize) -> Result<Bound, PortError> {
    // TCP first: while another process has the port, no query is taken from it by a UDP socket that shares it.
    let tcp = tcp(addr).map_err(|error| PortError::new(addr, SETTING, error))?;
    let bound = tcp.local_addr().map_err(|error| PortError::new(addr, SETTING, error))?;
    let sockets = (0..workers.max(1)).map(|_| udp(bound)).collect::<io::Result<_>>();
    let udp = sockets.map_err(|error| PortError::new(bound, SETTING, error))?;
    Ok(Bound { udp, tcp, addr: bound })
}

fn udp(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(addr, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    // The system may allow less; a smaller buffer only drops more in a burst.
    drop(socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES));
    super::batch::tell_addresses(&socket, addr)?;
    socket.bind(&addr.into())?;
    UdpSocket::from_std(socket.into())
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
        let bound = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_eq!((bound.udp.len(), bound.tcp.local_addr().unwrap()), (3, bound.addr));
        let error = bind(bound.addr, 1).unwrap_err().to_string();
        let port = format!("port {} on 127.0.0.1 is in use by another process", bound.addr.port());
        assert!(error.starts_with(&port) && error.contains("--listen (dns.listenPort"), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_named() {
        let error = bind("192.0.2.1:1053".parse().unwrap(), 1).unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:1053") && error.contains("address of this machine"), "{error}");
    }
}
