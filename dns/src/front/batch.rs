//! Datagrams, many in one system call: queries in, answers out, each from the address that it was asked at.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg, sendmmsg, sendmsg,
};

use super::bundles::arrange;

/// Datagrams that are taken or sent at once.
pub(super) const BATCH: usize = 64;
/// Nothing is waited for in these calls.
const NOW: MsgFlags = MsgFlags::MSG_DONTWAIT;
/// Longer queries are cut, and then malformed. None that a resolver makes comes near.
const QUERY_BYTES_MAX: usize = 2048;

/// Where a query came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer {
    /// Who asks.
    pub(super) from: SocketAddr,
    /// The address that was asked, on sockets that have several.
    at: Option<IpAddr>,
}

/// Which kind of socket: the system leaves lengths behind in the headers, so that each kind has its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Family {
    /// IPv4; whether it is bound to all addresses.
    V4(bool),
    /// IPv6.
    V6(bool),
}

type Headers = MultiHeaders<SockaddrStorage>;

/// What a worker has for queries and answers under way.
pub(super) struct Batch {
    queries: Box<[u8]>,
    /// Of each query that came: its length and where from.
    came: Vec<(usize, Option<Peer>)>,
    /// Beside each other: answers and for whom, as far as `ready`.
    answers: Vec<Vec<u8>>,
    receivers: Vec<(Peer, usize)>,
    /// Their places in the order in which they leave, and which of them leave together.
    order: Vec<u64>,
    bundles: Vec<Range<usize>>,
    receive: [Option<Headers>; 4],
    send: [Option<Headers>; 3],
}

/// Whether the system cuts several answers apart by itself. Not where a device or a tunnel on the way cannot, which is found out.
static TOGETHER: AtomicBool = AtomicBool::new(true);

// === impl Peer ===

impl Peer {
    /// Few others have the same.
    fn mark(&self) -> u32 {
        let address = match self.from.ip() {
            IpAddr::V4(address) => u32::from(address).into(),
            IpAddr::V6(address) => u128::from(address),
        };
        let folded = (address >> 64) as u64 ^ (address as u64).rotate_left(16) ^ u64::from(self.from.port());
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }
}

// === impl Batch ===

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            queries: vec![0; BATCH * QUERY_BYTES_MAX].into(),
            came: Vec::with_capacity(BATCH),
            answers: (0..BATCH).map(|_| Vec::new()).collect(),
            receivers: Vec::with_capacity(BATCH),
            order: Vec::with_capacity(BATCH),
            bundles: Vec::with_capacity(BATCH),
            receive: [const { None }; 4],
            send: [const { None }; 3],
        }
    }

    /// Takes what has come, at most [`BATCH`], and waits for nothing: how many.
    pub(super) fn receive(&mut self, socket: &UdpSocket, family: Family) -> io::Result<usize> {
        self.came.clear();
        self.receivers.clear();
        let headers = self.receive[family.place()].get_or_insert_with(|| family.headers(family.is_wildcard()));
        let mut room = self.queries.chunks_exact_mut(QUERY_BYTES_MAX);
        let mut slices: [_; BATCH] = std::array::from_fn(|_| [IoSliceMut::new(room.next().unwrap_or_default())]);
        match recvmmsg(socket.as_raw_fd(), headers, &mut slices, NOW, None) {
            Ok(all) => self.came.extend(all.map(|message| (message.bytes, peer(&message)))),
            Err(Errno::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.came.len())
    }

    /// A query that has come, and where its answer is to be written.
    pub(super) fn query(&mut self, at: usize) -> Option<(Peer, &[u8], &mut Vec<u8>)> {
        let (len, peer) = *self.came.get(at)?;
        let begin = at * QUERY_BYTES_MAX;
        let query = self.queries.get(begin..begin + len.min(QUERY_BYTES_MAX))?;
        Some((peer?, query, self.answers.get_mut(self.receivers.len())?))
    }

    /// The answer that was written last is to be sent.
    pub(super) fn is_for(&mut self, peer: Peer) {
        let len = self.answers.get(self.receivers.len()).map_or(0, Vec::len);
        self.receivers.push((peer, len));
    }

    /// Sends all answers: how many were lost. A full send buffer drops them, as the network might: resolvers ask again.
    /// Waiting would hold up all others.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> usize {
        arrange(&self.receivers, Peer::mark, TOGETHER.load(Relaxed), &mut self.order, &mut self.bundles);
        let (mut at, mut lost) = (0, 0);
        while let Some(bundle) = self.bundles.get(at).cloned() {
            let sent = if bundle.len() > 1 {
                self.send_together(socket.as_raw_fd(), bundle.clone())
            } else {
                self.send_some(socket.as_raw_fd(), at)
            };
            match sent {
                Ok(count) if count > 0 => at += count,
                Err(Errno::EAGAIN) => return lost + self.order.len() - bundle.start,
                // Not on this way, or not at all: one by one it may be sent, if not through it.
                Err(_) if bundle.len() > 1 => {
                    TOGETHER.store(false, Relaxed);
                    self.bundles.splice(at..=at, bundle.map(|place| place..place + 1));
                }
                // The first one cannot be sent; the others are not concerned.
                Ok(_) | Err(_) => {
                    lost += 1;
                    at += 1;
                }
            }
        }
        lost
    }

    /// Sends answers to one client, the longest first: 1, as many as are sent.
    fn send_together(&self, socket: RawFd, bundle: Range<usize>) -> nix::Result<usize> {
        let places = &self.order[bundle];
        let Some((peer, size)) = places.first().and_then(|place| self.receivers.get(*place as usize)) else {
            return Ok(0);
        };
        let mut pieces = [IoSlice::new(&[]); BATCH];
        pieces.iter_mut().zip(places).for_each(|(piece, place)| *piece = IoSlice::new(&self.answers[*place as usize]));
        // At most a datagram's bytes.
        let (to, size) = (storage(peer.from), *size as u16);
        let pieces = &pieces[..places.len().min(BATCH)];
        with_control(peer.at, Some(&size), |control| sendmsg(socket, pieces, control, NOW, Some(&to)))?;
        Ok(1)
    }

    /// Sends answers that leave alone and from one address, in this order from a bundle on, as far as the system takes them.
    fn send_some(&mut self, socket: RawFd, begin: usize) -> nix::Result<usize> {
        let of = |bundle: &Range<usize>| self.receivers.get(*self.order.get(bundle.start)? as usize);
        let at = self.bundles.get(begin).and_then(of).and_then(|(peer, _)| peer.at);
        let alone = self.bundles[begin..].iter().take_while(|bundle| bundle.len() == 1).filter_map(of);
        let (mut to, mut count): ([Option<SockaddrStorage>; BATCH], usize) = ([None; BATCH], 0);
        for (place, (peer, _)) in to.iter_mut().zip(alone.take_while(|(peer, _)| peer.at == at)) {
            *place = Some(storage(peer.from));
            count += 1;
        }
        let (place, family) = match at {
            None => (0, Family::V4(false)),
            Some(IpAddr::V4(_)) => (1, Family::V4(true)),
            Some(IpAddr::V6(_)) => (2, Family::V6(true)),
        };
        let headers = self.send[place].get_or_insert_with(|| family.headers(at.is_some()));
        let places = self.bundles[begin..begin + count].iter().map(|bundle| self.order[bundle.start] as usize);
        let mut slices = [[IoSlice::new(&[])]; BATCH];
        slices.iter_mut().zip(places).for_each(|(slice, place)| *slice = [IoSlice::new(&self.answers[place])]);
        let (slices, to) = (&slices[..count], &to[..count]);
        let sent =
            with_control(at, None, |source| sendmmsg(socket, headers, slices, to, source, NOW).map(Iterator::count))?;
        Ok(sent)
    }
}

/// Sends one answer that others were asked for.
pub(super) fn send_one(socket: &UdpSocket, answer: &[u8], peer: Peer) -> io::Result<()> {
    let (fd, to, slices) = (socket.as_raw_fd(), storage(peer.from), [IoSlice::new(answer)]);
    with_control(peer.at, None, |source| sendmsg(fd, &slices, source, NOW, Some(&to)))?;
    Ok(())
}

/// Runs `send` with what tells the system from which address to send, and where to cut.
fn with_control<T>(
    at: Option<IpAddr>,
    size: Option<&u16>,
    send: impl FnOnce(&[ControlMessage<'_>]) -> nix::Result<T>,
) -> nix::Result<T> {
    let cut = size.map(ControlMessage::UdpGsoSegments);
    let with = |source: Option<ControlMessage<'_>>| match (source, cut) {
        (Some(source), Some(cut)) => send(&[source, cut]),
        (Some(one), None) | (None, Some(one)) => send(&[one]),
        (None, None) => send(&[]),
    };
    match at {
        None => with(None),
        Some(IpAddr::V4(address)) => {
            let address = in_addr { s_addr: u32::from(address).to_be() };
            let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: in_addr { s_addr: 0 } };
            with(Some(ControlMessage::Ipv4PacketInfo(&info)))
        }
        Some(IpAddr::V6(address)) => {
            let info = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: address.octets() }, ipi6_ifindex: 0 };
            with(Some(ControlMessage::Ipv6PacketInfo(&info)))
        }
    }
}

fn peer(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<Peer> {
    let address = message.address.as_ref()?;
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::new(v4.ip(), v4.port())));
    let v6 = || {
        let v6 = address.as_sockaddr_in6()?;
        Some(SocketAddr::V6(SocketAddrV6::new(v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id())))
    };
    let told = message.cmsgs().ok().and_then(|mut told| told.find_map(|message| asked_at(&message)));
    Some(Peer { from: v4.or_else(v6)?, at: told })
}

fn asked_at(message: &ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into()),
        _ => None,
    }
}

fn storage(address: SocketAddr) -> SockaddrStorage {
    match address {
        SocketAddr::V4(address) => address.into(),
        SocketAddr::V6(address) => address.into(),
    }
}

// === impl Family ===

impl Family {
    /// Of a socket that is bound to an address.
    pub(super) fn of(address: SocketAddr) -> Self {
        let wildcard = address.ip().is_unspecified();
        if address.is_ipv4() { Self::V4(wildcard) } else { Self::V6(wildcard) }
    }

    fn is_wildcard(self) -> bool {
        match self {
            Self::V4(wildcard) | Self::V6(wildcard) => wildcard,
        }
    }

    fn place(self) -> usize {
        match self {
            Self::V4(wildcard) => usize::from(wildcard),
            Self::V6(wildcard) => 2 + usize::from(wildcard),
        }
    }

    /// Room for a batch, with or without that for the address on this side.
    fn headers(self, with_address: bool) -> Headers {
        let room = || match self {
            Self::V4(_) => cmsg_space!(in_pktinfo),
            Self::V6(_) => cmsg_space!(in6_pktinfo),
        };
        Headers::preallocate(BATCH, with_address.then(room))
    }
}

/// Has a socket that is bound to all addresses tell at which one it was asked.
pub(super) fn tell_addresses(socket: &impl std::os::fd::AsFd, address: SocketAddr) -> io::Result<()> {
    use nix::sys::socket::setsockopt;
    use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
    let told = match Family::of(address) {
        Family::V4(true) => setsockopt(socket, Ipv4PacketInfo, &true),
        Family::V6(true) => setsockopt(socket, Ipv6RecvPacketInfo, &true),
        Family::V4(false) | Family::V6(false) => Ok(()),
    };
    told.map_err(|error: Errno| error.into())
}
