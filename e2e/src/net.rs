//! Ports and addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, bail};

/// The variable that names addresses outside the cluster for registered endpoints, separated by spaces.
pub const ADDRESSES: &str = "ROLLCALL_E2E_ADDRESSES";

/// A port on which nobody listens, TCP and UDP, never given twice by this process.
///
/// It lies below the range from which the kernel takes ports for outgoing connections: a server that is stopped for a
/// minute would else find its port taken, even by its own clients (a TCP connection to oneself).
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().map_err(|_| anyhow!("another thread failed while it took a port"))?;
    let end = first_ephemeral_port().max(11_000);
    let span = end - 10_000;
    // Runs beside each other start at different places.
    let start = u16::try_from(std::process::id().wrapping_mul(37) % u32::from(span)).unwrap_or(0);
    for step in 0..span {
        let port = 10_000 + (start + step) % span;
        if !given.contains(&port) && is_free(port) {
            given.insert(port);
            return Ok(port);
        }
    }
    bail!("no free port between 10000 and {end}: stop what listens there")
}

/// A free port of the loopback address.
pub fn free_loopback() -> Result<SocketAddr> {
    Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), free_port()?))
}

fn is_free(port: u16) -> bool {
    let any = (Ipv4Addr::UNSPECIFIED, port);
    TcpListener::bind(any).is_ok() && UdpSocket::bind(any).is_ok()
}

fn first_ephemeral_port() -> u16 {
    const LINUX_DEFAULT: u16 = 32_768;
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(LINUX_DEFAULT)
}

/// Addresses of this machine that may be registered: EndpointSlices may not hold loopback or link-local ones.
///
/// Those of [`ADDRESSES`] if set (`cargo xtask test` makes a network namespace that has them), else the address from
/// which this machine reaches others. At least one.
pub fn outside_addresses() -> Result<Vec<IpAddr>> {
    if let Ok(listed) = std::env::var(ADDRESSES) {
        let parse = |word: &str| word.parse().with_context(|| format!("{ADDRESSES}: {word:?} is not an IP address"));
        let listed = listed.split_whitespace().map(parse).collect::<Result<Vec<IpAddr>>>()?;
        if !listed.is_empty() {
            return Ok(listed);
        }
    }
    Ok(vec![host_address()?])
}

/// Whether the local end of a connection of this machine belongs to that process. `false` when it cannot be told.
pub fn is_connection_of(process: u32, end: SocketAddr) -> bool {
    let sockets = |family: &str| std::fs::read_to_string(format!("/proc/net/{family}")).unwrap_or_default();
    let port = format!(":{:04X}", end.port());
    // Local address, remote address, state, queues, timer, retransmissions, owner, timeout, inode.
    let inode = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.get(1).filter(|local| local.ends_with(&port))?;
        words.get(9).map(|inode| format!("socket:[{inode}]"))
    };
    let inodes: Vec<_> =
        [sockets("tcp"), sockets("tcp6")].iter().flat_map(|table| table.lines()).filter_map(inode).collect();
    let Ok(open) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    let names = open.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
    names.filter_map(|name| name.into_os_string().into_string().ok()).any(|name| inodes.contains(&name))
}

/// The address from which this machine would reach another. No packet is sent for this.
fn host_address() -> Result<IpAddr> {
    const SOMEWHERE_ELSE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("opening a UDP socket")?;
    let address = socket.connect(SOMEWHERE_ELSE).and_then(|()| socket.local_addr()).map(|local| local.ip());
    address.ok().filter(|ip| !ip.is_loopback() && !ip.is_unspecified()).with_context(|| {
        format!(
            "this machine has no address but loopback, which Kubernetes refuses in EndpointSlices: connect it to a \
             network, or give it one (as root: ip addr add 198.51.100.11/32 dev lo) and set {ADDRESSES}=198.51.100.11"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_given_once_and_lie_below_those_of_outgoing_connections() {
        let ports: Vec<u16> = (0..20).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
        assert!(ports.iter().all(|port| (10_000..first_ephemeral_port().max(11_000)).contains(port)), "{ports:?}");
    }
}
