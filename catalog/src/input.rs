//! What sources, checks and beats tell the catalog.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::digest::Digest;
use crate::evict::TimeToEvict;
use crate::guard::{Cidr, Guard};
use crate::model::{Addresses, Attributes, Endpoint, Health, Name, Ports, ServiceKey, Uid};
use crate::policy::{Policy, PolicyKey, Statement};
use crate::source::SourceId;
use crate::treatment::Penalty;

/// The object an endpoint comes from.
///
/// The order is the precedence of a merge: for one address, the earlier origin wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// What kind of object.
    pub kind: OriginKind,
    /// Where it is.
    pub place: Place,
    /// Its namespace.
    pub namespace: Name,
    /// Its name.
    pub name: Name,
}

/// Kinds of origin, in order of precedence: own pods, then registrations, then other clusters. A Service contributes no
/// endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OriginKind {
    /// An EndpointSlice of this cluster that Rollcall did not write.
    EndpointSlice,
    /// A ServiceRegistration.
    ServiceRegistration,
    /// What another cluster exports, under the name of the service.
    Import,
    /// The Service itself, where it says something that cannot be used.
    Service,
}

/// Where an origin is. This cluster comes before any other place.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// This cluster.
    #[default]
    Here,
    /// The cluster behind the link of this name.
    Cluster(Name),
    /// The registry of this name.
    Registry(Name),
}

/// Everything one origin says about one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Who says it.
    pub origin: Arc<Origin>,
    /// About which service.
    pub service: ServiceKey,
    /// When the origin was created, in seconds since the epoch: between two of the same kind the older wins.
    pub created: i64,
    /// The ports it declares for the service; used where no Kubernetes Service declares them.
    pub ports: Ports,
    /// Its endpoints, shared between all who keep what was said. A registration has each name once.
    pub endpoints: Arc<[Arc<Endpoint>]>,
    /// Endpoints that it names and that cannot be used as they are written. They pass through the merge, so that
    /// whoever tells of a service can say why they are not in it.
    pub unusable: Vec<Unusable>,
    /// What else in it cannot be used.
    pub problems: Arc<[Problem]>,
    /// `metadata.generation` of the object, where somebody is told which one the catalog has taken in.
    pub generation: Option<i64>,
    /// From the death of one of its endpoints to the verdict, at the longest; `None` where nothing checks them.
    pub time_to_evict: Option<TimeToEvict>,
    /// After so long without having passed an endpoint of it is taken out; `None`: it stays listed.
    pub deregister_after: Option<Duration>,
    /// What an earlier process knew of the falls of its endpoints, by name.
    pub penalties: Vec<(Name, Penalty)>,
}

/// An endpoint that cannot be used as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Its name within its origin.
    pub name: Name,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Something in an object that cannot be used. The rest is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// What kind of fault it is.
    pub fault: Fault,
    /// What is wrong and what to do, in plain words.
    pub words: Name,
}

/// Kinds of fault in what an object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It names a port that there is not.
    UnknownPort,
    /// A value that this version does not know, or cannot use.
    UnsupportedValue,
    /// A name that has no address, or none yet.
    Unresolved,
}

/// What the Kubernetes Service of the key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFacts {
    /// `metadata.uid`, for owner references.
    pub uid: Name,
    /// How its name is to be answered.
    pub kind: ServiceKind,
    /// Its ports, sorted.
    pub ports: Ports,
    /// `spec.publishNotReadyAddresses`.
    pub publish_not_ready: bool,
    /// `spec.trafficDistribution`.
    pub traffic: TrafficDistribution,
    /// Whether its families include IPv4 and IPv6.
    pub families: Families,
    /// Whether it asks for topology-aware hints (annotation `service.kubernetes.io/topology-mode: Auto`).
    pub topology_auto: bool,
    /// Its labels, sorted; its EndpointSlices have them, too.
    pub labels: Arc<[(Name, Name)]>,
    /// What else other clusters are told of it; `None` where that is as most have it.
    pub manner: Option<Arc<Manner>>,
    /// How it is reached from outside the cluster; `None` for most, which are not.
    pub exposed: Option<Arc<Exposed>>,
}

/// Under what a Service is reached from outside the cluster: at least one address or name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Exposed {
    /// `spec.externalIPs` and those of `status.loadBalancer`, sorted, each once.
    pub addresses: Vec<IpAddr>,
    /// The host names of `status.loadBalancer`, without a trailing dot, sorted, each once.
    pub names: Vec<Name>,
}

/// What of a Service other clusters are told beside its ports and endpoints. `None` in its place: as most have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Manner {
    /// `spec.sessionAffinity: ClientIP`, with its time in seconds.
    pub affinity_s: Option<u32>,
    /// `spec.internalTrafficPolicy: Local`.
    pub internal_local: bool,
    /// `spec.trafficDistribution`, as it is written.
    pub traffic: Option<Name>,
    /// IPv6 is the first of `spec.ipFamilies`.
    pub v6_first: bool,
}

/// How the name of a Service is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// Virtual addresses, sorted IPv4 first.
    ClusterIp(Vec<IpAddr>),
    /// The endpoints themselves.
    Headless,
    /// A name elsewhere, without a trailing dot.
    ExternalName(Name),
}

/// `spec.trafficDistribution` (KEP-3015); `PreferClose` is the deprecated name of same-zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrafficDistribution {
    /// Not set: all endpoints alike.
    #[default]
    Any,
    /// Prefer endpoints in the caller's zone.
    PreferSameZone,
    /// Prefer endpoints on the caller's node, then in its zone.
    PreferSameNode,
}

/// `spec.ipFamilies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Families {
    pub v4: bool,
    pub v6: bool,
}

/// What a Pod adds to its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFacts {
    /// `metadata.uid`: which of the pods that had this name one after the other.
    pub uid: Option<Uid>,
    /// Its addresses: no registration may claim them.
    pub addresses: Option<Addresses>,
    /// Its labels, shared between pods that have the same.
    pub attributes: Arc<Attributes>,
    /// Its deletion was asked for: callers should stop before the EndpointSlice says so.
    pub terminating: bool,
    /// It has ended (phase Failed or Succeeded).
    pub finished: bool,
}

/// What a Node adds to its pods' endpoints and to the guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Option<Name>,
    /// Label `topology.kubernetes.io/region`.
    pub region: Option<Name>,
    /// Its own addresses, sorted: no registration may claim them.
    pub addresses: Box<[IpAddr]>,
    /// Those of them under which others reach it, by its name; sorted.
    pub reached_at: Box<[IpAddr]>,
    /// `spec.podCIDRs`: no registration may claim addresses in them.
    pub pod_cidrs: Vec<Cidr>,
    /// Why an operator has it in maintenance: registered endpoints on it are taken out.
    pub maintenance: Option<Name>,
}

/// The health decided for one endpoint of an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Passing, Warning, Critical or Unknown.
    pub health: Health,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// Which check said what, in plain words.
    pub reason: Name,
    /// The addresses that were judged. Under others the endpoint is another machine, about which this says nothing.
    pub addresses: Addresses,
    /// What each check says, sorted by name: for its status, and for the process that takes up where this one was.
    pub checks: Arc<[CheckVerdict]>,
}

/// What one check says about an endpoint: the worst of what it found at its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckVerdict {
    /// Its name in the registration.
    pub name: Name,
    /// Passing, Warning, Critical or Unknown.
    pub health: Health,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// What it saw last, in plain words.
    pub reason: Name,
    /// It is run on the endpoint's machine, by the agent there.
    pub on_machine: bool,
}

/// One thing that the catalog is told. Level-triggered: each states what is now, none is a difference.
#[derive(Clone, Debug)]
pub enum Input {
    /// A Kubernetes Service as it is now; `None` when it is gone.
    Service(ServiceKey, Option<Arc<ServiceFacts>>),
    /// What an origin contributes now. It replaces what that origin said before, also about another service.
    Contribution(Contribution),
    /// An origin is gone.
    Gone(Arc<Origin>),
    /// A pod (namespace, name) as it is now; `None` when it is gone.
    Pod(Name, Name, Option<Arc<PodFacts>>),
    /// A node as it is now; `None` when it is gone.
    Node(Name, Option<Arc<NodeFacts>>),
    /// A ServiceCIDR as it is now: the blocks that Services get their addresses from; `None` when it is gone.
    ServiceCidr(Name, Option<Arc<[Cidr]>>),
    /// The health decided for an endpoint of an origin; `None` when nothing checks it any more.
    Verdict(Arc<Origin>, Name, Option<Verdict>),
    /// The static part of the address guard; what nodes, pods and ServiceCIDRs reserve is added to it.
    Guard(Guard),
    /// A DiscoveryPolicy as it is now; `None` when it is gone.
    Policy(PolicyKey, Option<Arc<Statement>>),
    /// What is in force where no DiscoveryPolicy says otherwise.
    DefaultPolicy(Arc<Policy>),
    /// What the checks of a policy say of a pod of a service, by the pod's name; `None`: nothing any more.
    PodVerdict(ServiceKey, Name, Option<Verdict>),
    /// How late probes begin, of what lasts: it comes on top of the time to evict of whatever is checked.
    Lateness(Duration),
    /// When a source last heard from what it watches, in milliseconds of the monotonic clock.
    Contact(SourceId, u64),
    /// Whether another cluster has been silent for too long: what of its endpoints goes meanwhile goes without its word.
    Silent(Name, Silence),
}

/// How silent another cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It is heard, or not for so long yet, or there is no link to it.
    Not,
    /// For too long. Of other namespaces than these nothing is imported from it, which needs no word of it; `None`: of all something
    /// may be.
    TooLong(Option<Arc<BTreeSet<Name>>>),
}

// === impl Contribution ===

impl Contribution {
    /// Of an origin that says nothing yet.
    pub fn new(origin: Arc<Origin>, service: ServiceKey) -> Self {
        Self {
            origin,
            service,
            created: 0,
            ports: Ports::default(),
            endpoints: Arc::default(),
            unusable: Vec::new(),
            problems: Arc::default(),
            generation: None,
            time_to_evict: None,
            deregister_after: None,
            penalties: Vec::new(),
        }
    }
}

// === impl Origin ===

impl Origin {
    /// An object of this cluster.
    pub fn here(kind: OriginKind, namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        Self { kind, place: Place::Here, namespace: namespace.into(), name: name.into() }
    }

    /// Adds its words to a version, as [`fmt::Display`] has them.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        match &self.place {
            Place::Here => _ = digest.joined([self.kind.as_str(), "/", &self.name]),
            Place::Cluster(_) | Place::Registry(_) => _ = digest.text(&self.to_string()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Here => write!(f, "{}/{}", self.kind, self.name),
            place => write!(f, "{}/{} of {place}", self.kind, self.name),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => f.write_str("this cluster"),
            Self::Cluster(name) => write!(f, "cluster {name}"),
            Self::Registry(name) => write!(f, "registry {name}"),
        }
    }
}

// === impl OriginKind ===

impl OriginKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::EndpointSlice => "EndpointSlice",
            Self::ServiceRegistration => "ServiceRegistration",
            Self::Import => "Import",
            Self::Service => "Service",
        }
    }
}

impl fmt::Display for OriginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
