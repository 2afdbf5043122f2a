//! What the index keeps of a service and its endpoints: compact, shared, ready to be answered.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::Name;
pub use rollcall_catalog::model::Addresses;

/// A service as the stream describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What its name stands for.
    pub kind: Kind,
    /// Endpoints that are not ready are answered as well.
    pub publish_not_ready: bool,
    /// How old an answer may be, where its policy says so.
    pub staleness: Option<Staleness>,
    /// How it is reached from outside the cluster, where it is and somebody asks.
    pub exposed: Option<Arc<Exposed>>,
}

/// How a service is reached from outside the cluster: under at least one address or name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// Its addresses there, sorted.
    pub addresses: Box<[IpAddr]>,
    /// Names that stand for it there.
    pub names: Box<[Name]>,
    /// Its own ports.
    pub ports: Ports,
}

/// When what is known of a service is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staleness {
    /// So many seconds after the stream was lost.
    pub after_s: u64,
    /// What is answered then.
    pub then: WhenStale,
    /// The controller's own sources have been silent for that long.
    pub at_source: bool,
}

/// How a stale answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhenStale {
    /// As it is, marked as stale (RFC 8914 §4.4).
    Serve,
    /// Not at all: SERVFAIL.
    Refuse,
}

/// What the name of a service stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Virtual addresses; the ports are the service's own.
    ClusterIp {
        /// One per address family.
        addresses: Box<[IpAddr]>,
        /// The service's ports.
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

/// Ports. One without a name has no name of its own in DNS (Kubernetes DNS specification 1.1.0, 2.3.2).
pub type Ports = Arc<[Port]>;

/// The strings of a TXT record, each of at most 255 bytes (RFC 1035 §3.3.14). Of most endpoints there are none.
pub type Texts = Arc<[Box<str>]>;

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// In lower case, without the underscore that queries put before it; empty when it has none, or one that is no label.
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
    /// Its own ports.
    pub ports: Ports,
    /// What its owner says about it: one TXT record at its own name.
    pub texts: Texts,
    /// Where it is.
    pub place: Arc<Place>,
    /// Its health is Warning: it is ready, and some callers leave it out.
    pub warns: bool,
    /// Its cluster is another one that has fallen silent: it is given when there is no other, or after all others.
    pub suspect: bool,
}

/// Where an endpoint is. Many share one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The zone, in lower case; empty when it is not known.
    pub zone: Box<str>,
    /// The cluster, in lower case, of a service across clusters; else empty.
    pub cluster: Box<str>,
}

// === impl Place ===

impl Place {
    /// By what it may be chosen: its zone; and its cluster, which is told from zones by a slash, for no name of either has one.
    pub fn areas(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let zone = Some(Cow::Borrowed(&*self.zone)).filter(|zone| !zone.is_empty());
        let cluster = Some(&*self.cluster).filter(|cluster| !cluster.is_empty());
        zone.into_iter().chain(cluster.map(|cluster| Cow::Owned(area_of(cluster))))
    }
}

/// The area that a cluster is.
pub(super) fn area_of(cluster: &str) -> String {
    format!("/{cluster}")
}

// === impl Exposed ===

impl Exposed {
    /// What its name is another name for: one name has one CNAME and nothing beside it, so that addresses go first.
    pub fn alias(&self) -> Option<&Name> {
        self.names.first().filter(|_| self.addresses.is_empty())
    }

    /// The place of a port of this protocol and name.
    pub fn port(&self, protocol: Protocol, name: &[u8]) -> Option<usize> {
        let named = |port: &Port| port.protocol == protocol && !name.is_empty() && port.name.as_bytes() == name;
        self.ports.iter().position(named)
    }

    /// The numbers of its ports, or that of the one at a place. Two may have the same.
    pub fn numbers(&self, place: Option<usize>) -> impl Iterator<Item = u16> {
        let chosen = move |at: usize| place.is_none_or(|place| place == at);
        self.ports.iter().enumerate().filter(move |(at, _)| chosen(*at)).map(|(_, port)| port.number)
    }
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
