//! The result of a merge: one service, as every reader sees it.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::bucket;
use crate::digest::{Digest, Version};
use crate::guard::Refusal;
use crate::input::{Origin, Problem, ServiceFacts, ServiceKind};
use crate::model::{Conditions, Endpoint, EndpointId, Health, Name, Ports, ServiceKey};
use crate::port_mismatch::PortMismatch;

/// One service: what is callable, what is not and why.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its key.
    pub key: ServiceKey,
    /// The Kubernetes Service of that name, if there is one.
    pub facts: Option<Arc<ServiceFacts>>,
    /// The Service's ports; without a Service the union of what its registrations declare.
    pub ports: Ports,
    /// Sorted by identity, so that each bucket is one run.
    pub endpoints: Box<[Member]>,
    /// Endpoints that were kept out, each with the reason; in order of precedence.
    pub excluded: Box<[Excluded]>,
    /// The registrations that speak of it, in order of precedence.
    pub registrations: Box<[Registered]>,
    /// Version of what callers are given.
    pub version: Version,
    /// Version of all that can be told about it: also reasons, origins and what was kept out.
    pub story: Version,
}

/// An endpoint in a service, with what the catalog decided about it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its stable identity.
    pub id: EndpointId,
    /// What its origin says.
    pub endpoint: Arc<Endpoint>,
    /// Its origin.
    pub origin: Arc<Origin>,
    /// Its zone: its own, or its node's.
    pub zone: Option<Name>,
    /// The health decided from conditions, pod, verdict or maintenance.
    pub health: Health,
    /// What written EndpointSlices and callers are told.
    pub conditions: Conditions,
    /// Since when, in milliseconds since the epoch, where a verdict knows it. Not part of any version.
    pub since_ms: Option<i64>,
    /// Why it has this health, in plain words.
    pub reason: Name,
}

/// A registration as the merge heard it: what its status says beside its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The registration.
    pub origin: Arc<Origin>,
    /// Its generation: what is told of it speaks of this one and no later one.
    pub generation: Option<i64>,
    /// What in it cannot be used, apart from single endpoints.
    pub problems: Arc<[Problem]>,
    /// From the death of one of its endpoints to the verdict, at the longest; `None` where nothing checks them.
    pub time_to_evict: Option<Duration>,
}

/// An endpoint that was kept out of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluded {
    /// Its name within its origin.
    pub name: Name,
    /// What its origin says; `None` where that cannot be used.
    pub endpoint: Option<Arc<Endpoint>>,
    /// Its origin.
    pub origin: Arc<Origin>,
    /// Why.
    pub why: Why,
}

/// Why an endpoint was kept out of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// An endpoint of an earlier origin has this address and port.
    Claimed {
        /// The address that both name.
        address: IpAddr,
        /// The origin that keeps it.
        winner: Arc<Origin>,
        /// The endpoint of that origin.
        name: Name,
    },
    /// The guard refuses the address.
    Refused(IpAddr, Refusal),
    /// None of its ports is a port of the Service.
    UnknownPorts(PortMismatch),
    /// It cannot be used as its origin says it.
    Unusable(Problem),
}

/// How many endpoints a service has, by health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counts {
    pub endpoints: usize,
    pub callable: usize,
    pub passing: usize,
    pub warning: usize,
    pub critical: usize,
    pub unknown: usize,
    pub maintenance: usize,
}

// === impl Counts ===

impl Counts {
    /// Each count with the other's.
    pub(crate) fn with(self, other: Self, join: fn(usize, usize) -> usize) -> Self {
        Self {
            endpoints: join(self.endpoints, other.endpoints),
            callable: join(self.callable, other.callable),
            passing: join(self.passing, other.passing),
            warning: join(self.warning, other.warning),
            critical: join(self.critical, other.critical),
            unknown: join(self.unknown, other.unknown),
            maintenance: join(self.maintenance, other.maintenance),
        }
    }
}

// === impl Service ===

impl Service {
    /// The bucket count of its endpoints.
    pub fn buckets(&self) -> usize {
        bucket::count(self.endpoints.len())
    }

    /// The endpoints of each bucket, as runs of [`Service::endpoints`].
    pub fn bucket_runs(&self) -> impl Iterator<Item = Range<usize>> {
        bucket::runs(&self.endpoints, self.buckets(), |member| member.id)
    }

    /// The endpoints that callers are given.
    pub fn callable(&self) -> impl Iterator<Item = &Member> {
        self.endpoints.iter().filter(|member| member.conditions.ready)
    }

    /// How many endpoints, by health.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { endpoints: self.endpoints.len(), ..Counts::default() };
        for member in &self.endpoints {
            counts.callable += usize::from(member.conditions.ready);
            *match member.health {
                Health::Passing => &mut counts.passing,
                Health::Warning => &mut counts.warning,
                Health::Critical => &mut counts.critical,
                Health::Unknown => &mut counts.unknown,
                Health::Maintenance => &mut counts.maintenance,
            } += 1;
        }
        counts
    }

    /// Computes [`Service::version`] and [`Service::story`].
    pub(crate) fn seal(mut self) -> Self {
        let mut digest = Digest::default();
        digest.text(&self.key.namespace).text(&self.key.name);
        digest_facts(&mut digest, self.facts.as_deref());
        digest.ports(&self.ports);
        digest.number(self.endpoints.len() as u64);
        for member in &self.endpoints {
            member.digest(&mut digest);
        }
        self.version = digest.finish();
        for member in &self.endpoints {
            digest.text(&member.origin.namespace).text(&member.origin.to_string()).text(&member.reason);
        }
        for excluded in &self.excluded {
            digest.text(&excluded.origin.to_string()).text(&excluded.name).text(&excluded.why.to_string());
        }
        for registered in &self.registrations {
            registered.digest(&mut digest);
        }
        self.story = digest.finish();
        self
    }
}

fn digest_facts(digest: &mut Digest, facts: Option<&ServiceFacts>) {
    let Some(facts) = facts else {
        digest.flag(false);
        return;
    };
    digest.flag(true).flag(facts.publish_not_ready).number(facts.traffic as u64);
    digest.flag(facts.families.v4).flag(facts.families.v6);
    match &facts.kind {
        ServiceKind::ClusterIp(ips) => {
            digest.number(0).number(ips.len() as u64);
            for ip in ips {
                digest.ip(*ip);
            }
        }
        ServiceKind::Headless => {
            digest.number(1);
        }
        ServiceKind::ExternalName(name) => {
            digest.number(2).text(name);
        }
    }
}

// === impl Registered ===

impl Registered {
    fn digest(&self, digest: &mut Digest) {
        digest.text(&self.origin.to_string()).number(self.generation.unwrap_or(0).unsigned_abs());
        for problem in self.problems.iter() {
            digest.number(problem.fault as u64).text(&problem.words);
        }
        let evict_ms = self.time_to_evict.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        digest.number(evict_ms);
    }
}

// === impl Member ===

impl Member {
    fn digest(&self, digest: &mut Digest) {
        let endpoint = &*self.endpoint;
        digest.number(self.id.0).text(&endpoint.name);
        for ip in endpoint.addresses.iter() {
            digest.ip(ip);
        }
        digest.ports(&endpoint.ports);
        digest.maybe(endpoint.hostname.as_deref()).maybe(self.zone.as_deref()).maybe(endpoint.node.as_deref());
        digest.number(endpoint.weight.into()).number(self.health as u64);
        digest.flag(self.conditions.ready).flag(self.conditions.serving).flag(self.conditions.terminating);
        digest.number(endpoint.attributes.tags.len() as u64);
        for tag in &endpoint.attributes.tags {
            digest.text(tag);
        }
        digest.number(endpoint.attributes.metadata.len() as u64);
        for (key, value) in &endpoint.attributes.metadata {
            digest.text(key).text(value);
        }
    }
}

// === impl Why ===

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claimed { address, winner, name } => {
                write!(
                    f,
                    "address {address} is claimed by {winner} (endpoint {name}) already; give it up in one of the two"
                )
            }
            Self::Refused(address, refusal) => write!(f, "address {address} {refusal}"),
            Self::UnknownPorts(mismatch) => mismatch.fmt(f),
            Self::Unusable(problem) => f.write_str(&problem.words),
        }
    }
}
