//! The result of a merge: one service, as every reader sees it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::digest::{Digest, Version};
use crate::evict::TimeToEvict;
use crate::guard::Refusal;
use crate::input::{CheckVerdict, Families, Origin, OriginKind, Problem, ServiceFacts, ServiceKind};
use crate::members::Members;
use crate::model::{Endpoint, Health, Name, Ports, ServiceKey};
use crate::policy::{Policy, Warned};
use crate::port_mismatch::PortMismatch;

mod member;
mod why;

pub(crate) use self::member::Likeness;
pub use self::member::{Member, Particulars};

/// One service: what is callable, what is not and why.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its key.
    pub key: ServiceKey,
    /// The Kubernetes Service of that name, if there is one.
    pub facts: Option<Arc<ServiceFacts>>,
    /// The Service's ports; without a Service the union of what its registrations declare.
    pub ports: Ports,
    /// Sorted by identity, in buckets.
    pub endpoints: Members,
    /// Endpoints that were kept out, each with the reason; in order of precedence.
    pub excluded: Arc<[Excluded]>,
    /// The registrations that speak of it, in order of precedence.
    pub registrations: Arc<[Registered]>,
    /// Another cluster exports it, and its endpoints are taken in.
    pub imported: bool,
    /// The policy in force.
    pub policy: Arc<Policy>,
    /// Endpoints that are kept callable although they left: too many went at once (see [`Policy::removal`]).
    pub held: usize,
    /// Endpoints that are kept out although they may answer: they fell too often (see [`Policy::damping`]).
    pub damped: usize,
    /// Since when a source of it has been silent for longer than its policy trusts it, in whole seconds since the epoch.
    pub stale: Option<i64>,
    /// How late probes begin.
    pub(crate) lateness: Duration,
    /// Version of what registrations say beside their endpoints.
    pub(crate) told: Version,
    /// Version of what callers are given.
    pub version: Version,
    /// Version of all that can be told about it: also reasons, origins and what was kept out.
    pub story: Version,
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
    pub time_to_evict: Option<TimeToEvict>,
    /// After so long without having passed an endpoint of it is taken out; `None`: it stays listed.
    pub deregister_after: Option<Duration>,
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
    /// It is of an EndpointSlice, and there is no Service of that name.
    NoService,
    /// Its pod was there and is gone; the EndpointSlice lags behind.
    PodGone,
    /// The Service is another name for something else (ExternalName), and callers are told that name.
    Alias(Name),
    /// The Service has none of its address families.
    Family(Families),
    /// It has been Critical for longer than its registration allows.
    Deregistered(Box<Deregistered>),
}

/// What is known of an endpoint that was taken out because it failed for so long.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deregistered {
    /// `deregisterAfter` of its registration.
    pub after: Duration,
    /// Since when it is Critical, in milliseconds since the epoch.
    pub since_ms: i64,
    /// Why it is.
    pub reason: Name,
    /// What each of its checks says.
    pub checks: Arc<[CheckVerdict]>,
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
    /// Counts a member in.
    pub(crate) fn count(&mut self, member: &Member) {
        self.endpoints += 1;
        self.callable += usize::from(member.conditions.ready);
        *match member.health {
            Health::Passing => &mut self.passing,
            Health::Warning => &mut self.warning,
            Health::Critical => &mut self.critical,
            Health::Unknown => &mut self.unknown,
            Health::Maintenance => &mut self.maintenance,
        } += 1;
    }

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
    /// Whether it exists: by a Kubernetes Service, by a registration or by another cluster. What exists through EndpointSlices alone is known
    /// and explained, and callers are told nothing of it.
    pub fn exists(&self) -> bool {
        self.facts.is_some() || !self.registrations.is_empty() || self.imported
    }

    /// The bucket count of its endpoints.
    pub fn buckets(&self) -> usize {
        self.endpoints.buckets().len()
    }

    /// The endpoints that callers are given.
    pub fn callable(&self) -> impl Iterator<Item = &Member> {
        self.endpoints.iter().filter(|member| member.conditions.ready)
    }

    /// Whether callers who ask for the endpoints themselves are given one: it is ready, or the Service asks for those
    /// that are not, too. An operator's will to take it out holds even then.
    pub fn gives(&self, member: &Member) -> bool {
        let all = self.facts.as_deref().is_some_and(|facts| facts.publish_not_ready);
        member.conditions.ready || (all && member.health != Health::Maintenance)
    }

    /// How many endpoints, by health.
    pub fn counts(&self) -> Counts {
        let mut counts = self.endpoints.counts();
        if self.facts.as_deref().is_some_and(|facts| facts.publish_not_ready) {
            counts.callable = counts.endpoints - counts.maintenance;
        }
        counts
    }

    /// From the death of an endpoint to the verdict, at the longest; `None` where nothing checks any.
    pub fn time_to_evict(&self) -> Option<TimeToEvict> {
        let registered = self.registrations.iter().filter_map(|registered| registered.time_to_evict);
        registered.chain(self.time_to_evict_pods()).max_by_key(TimeToEvict::total)
    }

    /// The same of its pods alone.
    pub fn time_to_evict_pods(&self) -> Option<TimeToEvict> {
        let checks = self.policy.pod_checks.as_ref()?;
        self.endpoints.iter().find(|member| member.origin.kind == OriginKind::EndpointSlice)?;
        let time = TimeToEvict { lateness: self.lateness, ..checks.time_to_evict };
        let asks = self.policy.confirmation.asks();
        Some(if asks { time } else { TimeToEvict { confirmation: Duration::ZERO, ..time } })
    }

    /// Computes [`Service::version`] and [`Service::story`]. A service of one bucket is hashed as a whole, larger ones by
    /// the versions of their buckets, so that one changed endpoint costs one bucket.
    pub(crate) fn seal(mut self) -> Self {
        let mut digest = Digest::default();
        digest.text(&self.key.namespace).text(&self.key.name);
        digest_facts(&mut digest, self.facts.as_deref());
        digest.ports(&self.ports);
        digest.number(self.endpoints.len() as u64);
        if self.buckets() <= 1 {
            self.endpoints.iter().for_each(|member| member.digest(&mut digest));
        } else {
            self.endpoints.buckets().for_each(|bucket| _ = digest.number(bucket.version.0));
        }
        if let Some(staleness) = &self.policy.staleness {
            staleness.digest(&mut digest);
        }
        if self.policy.warning != Warned::default() {
            digest.number(4).number(self.policy.warning.percent.into());
        }
        if let Some(since_s) = self.stale {
            digest.flag(true).number(since_s.unsigned_abs());
        }
        if let Some(name) = self.clusterset() {
            digest.flag(true).text(name);
        }
        self.version = digest.finish();
        self.endpoints.buckets().for_each(|bucket| _ = digest.number(bucket.story.0));
        for excluded in self.excluded.iter() {
            excluded.origin.digest(&mut digest);
            digest.text(&excluded.name).text(&excluded.why.to_string());
        }
        digest.number(self.told.0).number(self.held as u64).number(self.damped as u64);
        digest.text(self.facts.as_ref().map_or("", |facts| &facts.uid));
        for facts in self.facts.iter().filter(|facts| facts.topology_auto || !facts.labels.is_empty()) {
            digest.flag(facts.topology_auto);
            facts.labels.iter().for_each(|(key, value)| _ = digest.text(key).text(value));
        }
        if let Some(manner) = self.facts.iter().find_map(|facts| facts.manner.as_deref()) {
            digest.number(manner.affinity_s.map_or(0, |seconds| u64::from(seconds) + 1));
            digest.flag(manner.internal_local).maybe(manner.traffic.as_deref()).flag(manner.v6_first);
        }
        self.policy.digest(&mut digest);
        if self.policy.pod_checks.is_some() {
            digest.number(self.lateness.as_millis() as u64);
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
        ServiceKind::Headless => _ = digest.number(1),
        ServiceKind::ExternalName(name) => _ = digest.number(2).text(name),
    }
    if let Some(exposed) = &facts.exposed {
        digest.number(5).number(exposed.addresses.len() as u64);
        exposed.addresses.iter().for_each(|ip| _ = digest.ip(*ip));
        exposed.names.iter().for_each(|name| _ = digest.text(name));
    }
}

// === impl Registered ===

impl Registered {
    pub(crate) fn digest(&self, digest: &mut Digest) {
        self.origin.digest(digest);
        digest.number(self.generation.unwrap_or(0).unsigned_abs());
        for problem in self.problems.iter() {
            digest.number(problem.fault as u64).text(&problem.words);
        }
        let evict = self.time_to_evict.unwrap_or_default();
        for term in [evict.detection, evict.confirmation, evict.lateness] {
            digest.number(u64::try_from(term.as_millis()).unwrap_or(u64::MAX));
        }
        if let Some(after) = self.deregister_after {
            digest.number(after.as_secs());
        }
    }
}
