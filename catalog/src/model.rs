//! The words of the catalog: services, endpoints, ports, localities, health.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

mod endpoint_name;

pub use self::endpoint_name::{AddressText, EndpointName};

/// A shared, immutable string: names, zones, hostnames, reasons.
pub type Name = Arc<str>;

/// The ports of an endpoint or a service, sorted by name and then number; shared between all that have the same.
pub type Ports = Arc<[Port]>;

/// What callers ask for: the same key as the Kubernetes Service of that name, which need not exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Namespace of the service.
    pub namespace: Name,
    /// Name of the service.
    pub name: Name,
}

/// One port that can be called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Name within its service; empty for the single unnamed port.
    pub name: Name,
    /// Port number, 1..=65535.
    pub number: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Application protocol as Kubernetes names it (KEP-1422), such as `http` or `kubernetes.io/h2c`.
    pub app_protocol: Option<Name>,
}

/// Transport protocols of the Kubernetes API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// The addresses of one endpoint: at most one per family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Addresses {
    /// IPv4 only.
    V4(Ipv4Addr),
    /// IPv6 only.
    V6(Ipv6Addr),
    /// Both families.
    Dual(Ipv4Addr, Ipv6Addr),
}

/// The stable identity of an endpoint: a hash of what names it, never of what may change about it.
///
/// A pod is named by its namespace and name, a registered endpoint by its registration and name, an endpoint of an
/// EndpointSlice without a target by its address. Buckets are cut by this hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u64);

/// What an endpoint's object says about its readiness (EndpointSlice conditions, KEP-1672).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conditions {
    /// New requests may be sent.
    pub ready: bool,
    /// Able to answer, even while it is being shut down.
    pub serving: bool,
    /// Being shut down.
    pub terminating: bool,
}

/// One callable instance, as its origin describes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Where it listens.
    pub addresses: Addresses,
    /// All else. It is read as if it stood here, and many may have the same: of another cluster's, of which there may be millions,
    /// those of one zone.
    pub described: Arc<Description>,
}

/// What an origin says of an endpoint beside its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Description {
    /// Name within its origin: the pod, or the endpoint of a registration. `None`: it is [called](Endpoint::name) by its address.
    pub named: Option<Name>,
    /// What it serves there.
    pub ports: Ports,
    /// DNS label below its service, if it has one of its own.
    pub hostname: Option<Name>,
    /// Failure domain.
    pub zone: Option<Name>,
    /// The region around it, where its origin says one: another cluster does, of whose nodes nothing is known here.
    pub region: Option<Name>,
    /// Kubernetes node, for pods.
    pub node: Option<Name>,
    /// Relative weight, 1..=65535.
    pub weight: u16,
    /// What the origin says about readiness.
    pub conditions: Conditions,
    /// Where its health comes from.
    pub health_source: HealthSource,
    /// Tags and metadata.
    pub attributes: Arc<Attributes>,
}

/// Where the health of an endpoint comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HealthSource {
    /// Its conditions decide (EndpointSlices; the pod's own probes stand behind them). The pod, where known, refines it.
    Conditions {
        /// The pod behind it, by whose name it is called.
        pod: Option<PodRef>,
    },
    /// Nothing checks it: it is Passing as long as it is registered.
    Unchecked,
    /// Verdicts decide; until the first one it is Unknown.
    Verdict,
    /// An operator has taken it out, with the reason given.
    Maintenance(Name),
    /// The cluster that it is imported from has decided.
    Imported {
        /// As that cluster sees it.
        health: Health,
        /// When that cluster fell silent, in milliseconds since the epoch: what it said is kept, and called last.
        suspect_since_ms: Option<i64>,
        /// That cluster is this one: its own export among those of others.
        own: bool,
    },
}

/// A pod as an EndpointSlice names it, beside its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodRef {
    /// Its namespace, where that is not the slice's own.
    pub namespace: Option<Name>,
    /// Which of the pods that had this name one after the other; `None` where the slice does not say.
    pub uid: Option<Uid>,
}

/// The `metadata.uid` of an object, as a hash: it is compared and never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(pub NonZeroU64);

/// What an owner says about an endpoint for others to select by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes {
    /// Sorted, without duplicates.
    pub tags: Vec<Name>,
    /// Free key/value pairs; for pods, their labels.
    pub metadata: BTreeMap<Name, Name>,
    /// The machine that a registered endpoint runs on, by which operators take it out. Callers are not told.
    pub machine: Option<Name>,
}

/// The health of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Answers as it should.
    Passing,
    /// Answers, with a complaint: still given to callers.
    Warning,
    /// Does not answer as it should: not given to callers.
    Critical,
    /// Not decided yet: not given to callers.
    Unknown,
    /// Taken out by an operator.
    Maintenance,
}

// === impl Endpoint ===

impl Endpoint {
    /// The same, but for what `change` makes of it.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Description)) -> Self {
        let mut described = Description::clone(&self.described);
        change(&mut described);
        Self { addresses: self.addresses, described: Arc::new(described) }
    }

    /// What it is called within its origin.
    pub fn name(&self) -> EndpointName<'_> {
        match &self.described.named {
            Some(name) => EndpointName::Said(name),
            None => EndpointName::Address(self.addresses.first().into()),
        }
    }

    /// The pod behind it and its name, if it is one.
    pub fn pod(&self) -> Option<(&Name, &PodRef)> {
        match (&self.health_source, &self.named) {
            (HealthSource::Conditions { pod: Some(pod) }, Some(name)) => Some((name, pod)),
            (
                HealthSource::Conditions { .. }
                | HealthSource::Unchecked
                | HealthSource::Verdict
                | HealthSource::Maintenance(_)
                | HealthSource::Imported { .. },
                _,
            ) => None,
        }
    }

    /// Whether its cluster is another one that has fallen silent: it is called last.
    pub fn is_suspect(&self) -> bool {
        matches!(self.health_source, HealthSource::Imported { suspect_since_ms: Some(_), .. })
    }
}

impl Deref for Endpoint {
    type Target = Description;

    fn deref(&self) -> &Description {
        &self.described
    }
}

impl DerefMut for Endpoint {
    /// Others that have the same keep it.
    fn deref_mut(&mut self) -> &mut Description {
        Arc::make_mut(&mut self.described)
    }
}

// === impl ServiceKey ===

impl ServiceKey {
    /// A key from its parts.
    pub fn new(namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

// === impl PodRef ===

impl PodRef {
    /// Its namespace, for a slice in `own`.
    pub fn namespace_in<'a>(&'a self, own: &'a Name) -> &'a Name {
        self.namespace.as_ref().unwrap_or(own)
    }
}

// === impl Uid ===

impl Uid {
    /// Of a uid as the API writes it; `None` for an empty one.
    pub fn of(uid: &str) -> Option<Self> {
        if uid.is_empty() {
            None
        } else {
            Some(Self(NonZeroU64::new(xxh3_64(uid.as_bytes())).unwrap_or(NonZeroU64::MIN)))
        }
    }
}

// === impl Addresses ===

impl Addresses {
    /// The addresses of one endpoint, IPv4 first. `None` when there is none, or more than one of a family.
    pub fn from_ips(ips: impl IntoIterator<Item = IpAddr>) -> Option<Self> {
        ips.into_iter().try_fold(None, |sum: Option<Self>, ip| match sum {
            None => Some(Some(Self::from(ip))),
            Some(sum) => sum.join(Self::from(ip)).map(Some),
        })?
    }

    /// The first address of each family; `None` when there is none. For what an earlier merge has settled.
    pub fn first_of_each(ips: impl IntoIterator<Item = IpAddr>) -> Option<Self> {
        ips.into_iter().fold(None, |sum: Option<Self>, ip| match sum {
            None => Some(Self::from(ip)),
            Some(sum) => Some(sum.join(Self::from(ip)).unwrap_or(sum)),
        })
    }

    /// Whether `ip` is one of them.
    pub fn contains(self, ip: IpAddr) -> bool {
        self.iter().any(|own| own == ip)
    }

    /// Both together, if each family occurs once; the same address twice is itself.
    pub fn join(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::V4(v4), Self::V6(v6)) | (Self::V6(v6), Self::V4(v4)) => Some(Self::Dual(v4, v6)),
            (a, b) if a == b => Some(a),
            _ => None,
        }
    }

    /// The first address: that of IPv4, if there is one.
    pub fn first(self) -> IpAddr {
        match self {
            Self::V4(v4) | Self::Dual(v4, _) => IpAddr::V4(v4),
            Self::V6(v6) => IpAddr::V6(v6),
        }
    }

    /// Each address, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        [self.v4().map(IpAddr::V4), self.v6().map(IpAddr::V6)].into_iter().flatten()
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
}

impl From<IpAddr> for Addresses {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6(v6),
        }
    }
}

// === impl Conditions ===

impl Conditions {
    /// Ready for new requests.
    pub const READY: Self = Self { ready: true, serving: true, terminating: false };
    /// Neither ready nor serving.
    pub const NOT_READY: Self = Self { ready: false, serving: false, terminating: false };
}

// === impl Protocol ===

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

// === impl Health ===

impl Health {
    /// Every health, in the order in which people list them.
    pub const ALL: [Self; 5] = [Self::Passing, Self::Warning, Self::Critical, Self::Unknown, Self::Maintenance];

    /// Whether callers are given an endpoint of this health.
    pub fn is_callable(self) -> bool {
        match self {
            Self::Passing | Self::Warning => true,
            Self::Critical | Self::Unknown | Self::Maintenance => false,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passing => "Passing",
            Self::Warning => "Warning",
            Self::Critical => "Critical",
            Self::Unknown => "Unknown",
            Self::Maintenance => "Maintenance",
        })
    }
}
