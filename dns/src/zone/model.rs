//! What the index keeps of a service and its endpoints: compact, shared, ready to be answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hickory_proto::rr::Name;

/// A service as the stream describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What its name stands for.
    pub kind: Kind,
    /// Endpoints that are not ready are answered as well.
    pub publish_not_ready: bool,
}

/// What the name of a service stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Virtual addresses; the named ports are the service's own.
    ClusterIp {
        /// One per address family.
        addresses: Box<[IpAddr]>,
        /// The service's named ports.
        ports: Ports,
    },
    /// Its endpoints: a headless Service, or one that exists only through registrations.
    Headless,
    /// A name elsewhere.
    External {
        /// The CNAME's target; `None` when the service's external name is no domain name, which leaves the service
        /// without data.
        target: Option<Name>,
    },
}

/// Named ports. Ports without a name have no DNS records (Kubernetes DNS specification 1.1.0, 2.3.2).
pub type Ports = Arc<[Port]>;

/// One named port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// In lower case, without the underscore that queries put before it.
    pub name: Arc<str>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port number.
    pub number: u16,
}

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// `_tcp`
    Tcp,
    /// `_udp`
    Udp,
    /// `_sctp`
    Sctp,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Stable identity.
    pub id: u64,
    /// Where it is.
    pub addresses: Addresses,
    /// SRV weight.
    pub weight: u16,
    /// Whether callers should be given it.
    pub ready: bool,
    /// The label of its own name below its service's: its hostname, or its address with dashes.
    pub label: Box<str>,
    /// Whether the label is a hostname that somebody gave it.
    pub has_hostname: bool,
    /// Its own named ports.
    pub ports: Ports,
}

/// Addresses of one endpoint, 4 or 16 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4 alone.
    V4(Ipv4Addr),
    /// IPv6 alone.
    V6(Ipv6Addr),
    /// One of each family.
    Dual(Ipv4Addr, Ipv6Addr),
}

// === impl Protocol ===

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The label in a query, in lower case.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tcp => "_tcp",
            Self::Udp => "_udp",
            Self::Sctp => "_sctp",
        }
    }

    pub(super) fn from_label(label: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.label().as_bytes() == label)
    }
}

// === impl Addresses ===

impl Addresses {
    /// Reads addresses of 4 or 16 bytes; `None` when there is none. Of several of one family the first is taken.
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Option<Self> {
        let (mut v4, mut v6) = (None, None);
        for address in addresses {
            match address {
                IpAddr::V4(address) => v4 = v4.or(Some(address)),
                IpAddr::V6(address) => v6 = v6.or(Some(address)),
            }
        }
        match (v4, v6) {
            (Some(v4), Some(v6)) => Some(Self::Dual(v4, v6)),
            (Some(v4), None) => Some(Self::V4(v4)),
            (None, Some(v6)) => Some(Self::V6(v6)),
            (None, None) => None,
        }
    }

    /// The IPv4 address.
    pub fn v4(self) -> Option<Ipv4Addr> {
        match self {
            Self::V4(v4) | Self::Dual(v4, _) => Some(v4),
            Self::V6(_) => None,
        }
    }

    /// The IPv6 address.
    pub fn v6(self) -> Option<Ipv6Addr> {
        match self {
            Self::V6(v6) | Self::Dual(_, v6) => Some(v6),
            Self::V4(_) => None,
        }
    }

    /// IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        self.v4().map(IpAddr::V4).into_iter().chain(self.v6().map(IpAddr::V6))
    }

    /// Whether `address` is one of them.
    pub fn contains(self, address: IpAddr) -> bool {
        self.iter().any(|own| own == address)
    }
}
