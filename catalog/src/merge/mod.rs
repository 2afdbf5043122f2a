//! The merge: all that is said about one service in, one [`Service`] out.
//!
//! A pure function of the *set* of inputs. Contributions are taken in order of precedence (kind of origin, age, name),
//! so the order of their arrival does not matter; every tie is broken by a name.
//!
//! - [`offers`]: endpoints become candidates; those of one identity (a pod in several slices) are looked at together
//! - [`admit`]: whether a registered endpoint may stand in the service at all
//! - [`alias`]: whether the name of an ExternalName Service is one
//! - [`judge`]: the health of an endpoint
//! - [`claims`]: who keeps an address that more than one origin claims
//! - [`draft`]: the same result, with the work of the last time kept, so that one change costs one change

pub(crate) mod admit;
mod alias;
pub(crate) mod claims;
pub(crate) mod draft;
pub(crate) mod judge;
pub(crate) mod offers;

use std::cmp::Ordering;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::few::Few;
use crate::guard::{Guard, all_of};
use crate::input::{Contribution, NodeFacts, Origin, OriginKind, PodFacts, ServiceFacts, Verdict};
use crate::model::{Endpoint, Name, PodRef, ServiceKey};
use crate::service::Service;

use self::claims::contest;
use self::draft::{Said, excluded};
use self::offers::{Candidate, identity};

/// What a merge may look up beside the contributions.
pub trait Lookup {
    /// What is known of a pod of this name that an EndpointSlice of `namespace` names.
    fn pod(&self, namespace: &Name, name: &Name, pod: &PodRef) -> Pod<'_>;
    /// The node of this name.
    fn node(&self, name: &str) -> Option<&NodeFacts>;
    /// The verdict on an endpoint of an origin.
    fn verdict(&self, origin: &Origin, endpoint: &str) -> Option<&Verdict>;
    /// The verdict of a policy's checks on a pod of a service.
    fn pod_verdict(&self, service: &ServiceKey, pod: &str) -> Option<&Verdict>;
    /// Why an operator has a machine in maintenance for the registrations of a namespace.
    fn maintenance(&self, namespace: &Name, machine: &Name) -> Option<&Name>;
    /// The address guard.
    fn guard(&self) -> &Guard;
    /// How late probes begin.
    fn lateness(&self) -> Duration;
}

/// What is known of a pod.
#[derive(Clone, Copy, Debug)]
pub enum Pod<'a> {
    /// Nothing: it was not seen yet, or it is watched by nobody.
    Unseen,
    /// It is there.
    There(&'a PodFacts),
    /// It was there and is gone.
    Gone,
}

/// The documented precedence of a merge: kind of origin, then age, then name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// When the origin was created, in seconds since the epoch.
    pub created: i64,
    /// The origin.
    pub origin: Arc<Origin>,
}

/// A contribution, and which identities its endpoints have.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What the origin says.
    pub contribution: Contribution,
    /// The identity of each endpoint, before two of one service are told apart.
    pub(crate) ids: Box<[u64]>,
}

/// Everything that is said about one service.
#[derive(Clone, Debug, Default)]
pub struct Statements {
    /// The Kubernetes Service.
    pub facts: Option<Arc<ServiceFacts>>,
    /// What origins contribute, in order of precedence.
    pub contributions: Few<Rank, Box<Statement>>,
}

/// What every part of one merge looks at.
pub(crate) struct Context<'a, L> {
    pub(crate) key: &'a ServiceKey,
    pub(crate) statements: &'a Statements,
    pub(crate) lookup: &'a L,
}

// === impl Rank ===

impl Rank {
    /// Of a contribution.
    pub fn of(contribution: &Contribution) -> Self {
        Self { created: contribution.created, origin: Arc::clone(&contribution.origin) }
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let kind_and_age = |rank: &Self| (rank.origin.kind, rank.created);
        kind_and_age(self).cmp(&kind_and_age(other)).then_with(|| self.origin.cmp(&other.origin))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

// === impl Statement ===

impl Statement {
    /// Of a contribution.
    pub fn new(contribution: Contribution) -> Self {
        let ids = contribution.endpoints.iter().map(|endpoint| identity(&contribution.origin, endpoint)).collect();
        Self { contribution, ids }
    }

    /// Each endpoint with its identity.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (u64, &Arc<Endpoint>)> {
        self.ids.iter().copied().zip(self.contribution.endpoints.iter())
    }
}

// === impl Statements ===

impl Statements {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.facts.is_none() && self.contributions.is_empty()
    }

    /// How many endpoints are contributed.
    pub(crate) fn len(&self) -> usize {
        self.contributions.values().map(|statement| statement.ids.len()).sum()
    }

    /// Whether anything of it is checked.
    pub(crate) fn are_checked(&self) -> bool {
        self.contributions.values().any(|statement| statement.contribution.time_to_evict.is_some())
    }

    /// The identities of what other clusters say that has an address of a range.
    pub(crate) fn imported_within(&self, ips: &RangeInclusive<IpAddr>) -> Vec<u64> {
        let imports = self.contributions.iter().filter(|(rank, _)| rank.origin.kind == OriginKind::Import);
        let endpoints = imports.flat_map(|(_, statement)| statement.endpoints());
        endpoints
            .filter(|(_, endpoint)| all_of(endpoint.addresses).any(|ip| ips.contains(&ip)))
            .map(|(id, _)| id)
            .collect()
    }

    /// Whether more than EndpointSlices speak of the service: those never exclude one another's endpoints.
    pub(crate) fn are_contended(&self) -> bool {
        // Slices come first.
        self.contributions.keys().next_back().is_some_and(|rank| rank.origin.kind != OriginKind::EndpointSlice)
    }
}

/// Merges one service. `None` when nothing is said about it.
pub fn merge(key: &ServiceKey, statements: &Statements, lookup: &impl Lookup) -> Option<Service> {
    if statements.is_empty() {
        return None;
    }
    let context = Context { key, statements, lookup };
    let mut candidates = context.candidates(|_| true);
    if statements.are_contended() {
        contest(&mut candidates.iter_mut().collect::<Vec<_>>());
    }
    let said = Said::of(key, statements, lookup.lateness());
    let excluded =
        excluded(candidates.iter().filter_map(Candidate::excluded).chain(said.unusable.iter().cloned()).collect());
    let members = candidates.into_iter().filter_map(Candidate::into_standing);
    Some(said.service(key, statements, members.collect(), excluded))
}
