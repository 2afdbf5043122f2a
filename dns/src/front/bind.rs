//! Taking an address for UDP and TCP.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

/// An address could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has it.
    #[error(
        "{protocol} {addr} is in use; stop the DNS server that listens there (ss -lnp finds it) or give another --listen"
    )]
    InUse {
        /// UDP or TCP.
        protocol: &'static str,
        /// As given.
        addr: SocketAddr,
    },
    /// A port below 1024 needs a capability.
    #[error("{protocol} {addr} is not permitted; grant CAP_NET_BIND_SERVICE or give --listen a port from 1024 on")]
    NotPermitted {
        /// UDP or TCP.
        protocol: &'static str,
        /// As given.
        addr: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {protocol} {addr}: {error}; give --listen an address of this machine")]
    Other {
        /// UDP or TCP.
        protocol: &'static str,
        /// As given.
        addr: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
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

/// Takes an address for both protocols. With port 0 a port that is free for both. An IPv6 address is for IPv6 alone, so
/// that `0.0.0.0:53` and `[::]:53` can be given together. Must be called within a runtime.
///
/// UDP sockets share the port with each other and with another process of the same user that allows it; the TCP listener
/// does not, so that a second server by mistake is found out.
pub fn bind(addr: SocketAddr, workers: usize) -> Result<Bound, BindError> {
    let mut result = bind_once(addr, workers);
    for _ in 0..ATTEMPTS {
        match result {
            Err(BindError::InUse { .. }) if addr.port() == 0 => result = bind_once(addr, workers),
            Ok(_) | Err(_) => break,
        }
    }
    result
}

fn bind_once(addr: SocketAddr, workers: usize) -> Result<Bound, BindError> {
    let first = udp(addr).map_err(|error| refused("UDP", addr, error))?;
    let bound = first.local_addr().map_err(|error| refused("UDP", addr, error))?;
    let others = (1..workers).map(|_| udp(bound));
    let sockets = std::iter::once(Ok(first)).chain(others).collect::<io::Result<_>>();
    let udp = sockets.map_err(|error| refused("UDP", bound, error))?;
    let tcp = tcp(bound).map_err(|error| refused("TCP", bound, error))?;
    Ok(Bound { udp, tcp, addr: bound })
}

fn udp(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(addr, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    // The system may allow less; a smaller buffer only drops more in a burst.
    drop(socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES));
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

fn refused(protocol: &'static str, addr: SocketAddr, error: io::Error) -> BindError {
    match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { protocol, addr },
        io::ErrorKind::PermissionDenied => BindError::NotPermitted { protocol, addr },
        _ => BindError::Other { protocol, addr, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn several_workers_share_a_port_and_a_second_server_is_refused_with_the_remedy() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_eq!((bound.udp.len(), bound.tcp.local_addr().unwrap()), (3, bound.addr));
        let error = bind(bound.addr, 1).unwrap_err().to_string();
        assert!(error.starts_with(&format!("TCP {} is in use", bound.addr)) && error.contains("--listen"), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_named() {
        let error = bind("192.0.2.1:1053".parse().unwrap(), 1).unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:1053") && error.contains("address of this machine"), "{error}");
    }
}
