//! The work of a merge, kept for the next one: what one change does not touch is not judged again, not measured against
//! others and not hashed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::claims::contest;
use super::offers::{Candidate, Order};
use super::{Context, Lookup, Statements};
use crate::digest::{Digest, Version};
use crate::evict::TimeToEvict;
use crate::hashed::HashMap;
use crate::input::{Contribution, OriginKind};
use crate::members::Members;
use crate::model::{EndpointId, Name, Port, Ports, ServiceKey};
use crate::policy::Policy;
use crate::service::{Excluded, Registered, Service, Why};

/// Before it is known which one is in force.
static NONE: LazyLock<Arc<Policy>> = LazyLock::new(Arc::default);

/// A service in the making. Its result is at all times that of [`super::merge`].
#[derive(Debug)]
pub(crate) struct Draft {
    /// By identity, as origins give it.
    groups: BTreeMap<u64, Vec<Candidate>>,
    /// Which groups have an address; kept only where they may contend for it.
    places: Option<HashMap<IpAddr, Vec<u64>>>,
    /// The groups of which something is kept out.
    excluding: BTreeSet<u64>,
    excluded: Arc<[Excluded]>,
    members: Members,
    said: Said,
}

/// What contributions say beside their endpoints.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    ports: Ports,
    registrations: Arc<[Registered]>,
    lateness: Duration,
    imported: bool,
    told: Version,
    pub(crate) unusable: Vec<(Order, Excluded)>,
}

// === impl Draft ===

impl Draft {
    /// From the beginning.
    pub(crate) fn new<L: Lookup>(context: &Context<'_, L>) -> Self {
        let mut candidates = context.candidates(|_| true);
        let contended = context.statements.are_contended();
        if contended {
            contest(&mut candidates.iter_mut().collect::<Vec<_>>());
        }
        let mut groups: BTreeMap<u64, Vec<Candidate>> = BTreeMap::new();
        for candidate in candidates {
            groups.entry(candidate.group).or_default().push(candidate);
        }
        let mut draft = Self {
            places: contended.then(HashMap::default),
            excluding: groups.iter().filter(|(_, group)| keeps_out(group)).map(|(id, _)| *id).collect(),
            excluded: Arc::default(),
            members: groups.values().flatten().filter_map(Candidate::standing).cloned().collect(),
            said: Said::of(context.key, context.statements, context.lookup.lateness()),
            groups: BTreeMap::new(),
        };
        for (id, group) in groups {
            draft.put(id, group);
        }
        draft.refresh_excluded();
        draft
    }

    /// After the groups `touched` were said anew, or what is looked up for them.
    pub(crate) fn update<L: Lookup>(&mut self, context: &Context<'_, L>, touched: &BTreeSet<u64>, said: SaidAnew) {
        if self.places.is_some() != context.statements.are_contended() {
            *self = Self::new(context);
            return;
        }
        if said == SaidAnew::Yes {
            self.said = Said::of(context.key, context.statements, context.lookup.lateness());
        }
        let mut fresh: BTreeMap<u64, Vec<Candidate>> = touched.iter().map(|id| (*id, Vec::new())).collect();
        for candidate in context.candidates(|id| touched.contains(&id)) {
            fresh.entry(candidate.group).or_default().push(candidate);
        }
        // Also the others that were measured against what was there before, or will be against what is there now.
        let before = self.neighbours(touched.iter().copied());
        let mut out: Vec<EndpointId> = touched.iter().flat_map(|id| self.identities(*id)).collect();
        for (id, group) in fresh {
            self.take(id);
            self.put(id, group);
        }
        let mut affected = self.neighbours(before.union(touched).copied());
        affected.extend(&before);
        out.extend(affected.difference(touched).flat_map(|id| self.identities(*id)));
        if self.places.is_some() {
            let mut contenders = self.lift(&affected);
            contest(&mut contenders.values_mut().flatten().collect::<Vec<_>>());
            self.groups.append(&mut contenders);
        }
        affected.extend(touched);
        let groups = affected.iter().filter_map(|id| self.groups.get(id)).flatten();
        let put = groups.filter_map(Candidate::standing).cloned().collect();
        self.members = self.members.with(out, put);
        let mut news = said == SaidAnew::Yes;
        for id in affected {
            if self.groups.get(&id).is_some_and(|group| keeps_out(group)) {
                self.excluding.insert(id);
                news = true;
            } else {
                news |= self.excluding.remove(&id);
            }
        }
        if news {
            self.refresh_excluded();
        }
    }

    /// The service as it is now.
    pub(crate) fn service(&self, key: &ServiceKey, statements: &Statements) -> Service {
        self.said.service(key, statements, self.members.clone(), Arc::clone(&self.excluded))
    }

    fn refresh_excluded(&mut self) {
        let groups = self.excluding.iter().filter_map(|id| self.groups.get(id)).flatten();
        let all: Vec<_> = groups.filter_map(Candidate::excluded).chain(self.said.unusable.iter().cloned()).collect();
        self.excluded = excluded(all);
    }

    /// The identities that a group has in the service.
    fn identities(&self, id: u64) -> impl Iterator<Item = EndpointId> {
        self.groups.get(&id).into_iter().flatten().filter_map(Candidate::standing).map(|member| member.id)
    }

    /// All groups that are connected with some by addresses, those included.
    fn neighbours(&self, some: impl Iterator<Item = u64>) -> BTreeSet<u64> {
        let Some(places) = &self.places else { return BTreeSet::new() };
        let mut open: Vec<u64> = some.collect();
        let mut found: BTreeSet<u64> = open.iter().copied().collect();
        let mut seen: BTreeSet<IpAddr> = BTreeSet::new();
        while let Some(id) = open.pop() {
            for ip in self.groups.get(&id).into_iter().flat_map(|group| addresses(group)) {
                if seen.insert(ip) {
                    let others = places.get(&ip).into_iter().flatten().copied();
                    open.extend(others.filter(|other| found.insert(*other)));
                }
            }
        }
        found
    }

    /// Takes groups out for a while.
    fn lift(&mut self, ids: &BTreeSet<u64>) -> BTreeMap<u64, Vec<Candidate>> {
        ids.iter().filter_map(|id| Some((*id, self.groups.remove(id)?))).collect()
    }

    fn put(&mut self, id: u64, group: Vec<Candidate>) {
        if group.is_empty() {
            return;
        }
        if let Some(places) = &mut self.places {
            for ip in addresses(&group) {
                let ids = places.entry(ip).or_default();
                if let Err(at) = ids.binary_search(&id) {
                    ids.insert(at, id);
                }
            }
        }
        self.groups.insert(id, group);
    }

    fn take(&mut self, id: u64) {
        let group = self.groups.remove(&id);
        let (Some(places), Some(group)) = (&mut self.places, group) else { return };
        for ip in addresses(&group) {
            if let Some(ids) = places.get_mut(&ip) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    places.remove(&ip);
                }
            }
        }
    }
}

/// Whether more than single groups were said anew: ports, problems, registrations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SaidAnew {
    #[default]
    No,
    Yes,
}

fn keeps_out(group: &[Candidate]) -> bool {
    group.iter().any(|candidate| candidate.standing().is_none())
}

fn addresses(group: &[Candidate]) -> impl Iterator<Item = IpAddr> {
    group.iter().filter_map(Candidate::member).flat_map(|member| member.endpoint.addresses.iter())
}

/// In order of precedence.
pub(crate) fn excluded(mut all: Vec<(Order, Excluded)>) -> Arc<[Excluded]> {
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all.into_iter().map(|(_, excluded)| excluded).collect()
}

// === impl Said ===

impl Said {
    pub(crate) fn of(key: &ServiceKey, statements: &Statements, lateness: Duration) -> Self {
        let contributions = || statements.contributions.values().map(|statement| &statement.contribution);
        let registrations: Arc<[_]> =
            contributions().filter_map(|contribution| registered(contribution, lateness)).collect();
        let mut digest = Digest::default();
        for registered in registrations.iter() {
            registered.digest(&mut digest);
        }
        let imported = contributions().any(|contribution| contribution.origin.kind == OriginKind::Import);
        if imported {
            digest.flag(true);
        }
        Self {
            ports: match &statements.facts {
                Some(facts) => Ports::clone(&facts.ports),
                None => union(contributions()),
            },
            registrations,
            lateness,
            imported,
            told: digest.finish(),
            unusable: unusable(key, statements),
        }
    }

    pub(crate) fn service(
        &self,
        key: &ServiceKey,
        statements: &Statements,
        members: Members,
        excluded: Arc<[Excluded]>,
    ) -> Service {
        Service {
            key: key.clone(),
            facts: statements.facts.clone(),
            ports: Ports::clone(&self.ports),
            endpoints: members,
            excluded,
            registrations: Arc::clone(&self.registrations),
            imported: self.imported,
            policy: Arc::clone(&NONE),
            held: 0,
            damped: 0,
            stale: None,
            lateness: self.lateness,
            told: self.told,
            version: Version::default(),
            story: Version::default(),
        }
    }
}

fn unusable(key: &ServiceKey, statements: &Statements) -> Vec<(Order, Excluded)> {
    let mut all: Vec<_> = statements.facts.iter().filter_map(|facts| super::alias::unusable(key, facts)).collect();
    for (rank, statement) in statements.contributions.iter() {
        let endpoints = statement.ids.len();
        all.extend(statement.contribution.unusable.iter().enumerate().map(|(at, unusable)| {
            let excluded = Excluded {
                name: Name::clone(&unusable.name),
                endpoint: None,
                origin: Arc::clone(&rank.origin),
                why: Why::Unusable(unusable.problem.clone()),
            };
            (Order { rank: rank.clone(), position: endpoints + at }, excluded)
        }));
    }
    all
}

fn registered(contribution: &Contribution, lateness: Duration) -> Option<Registered> {
    match contribution.origin.kind {
        OriginKind::EndpointSlice | OriginKind::Import | OriginKind::Service => None,
        OriginKind::ServiceRegistration => Some(Registered {
            origin: Arc::clone(&contribution.origin),
            generation: contribution.generation,
            problems: Arc::clone(&contribution.problems),
            time_to_evict: contribution.time_to_evict.map(|time| TimeToEvict { lateness, ..time }),
            deregister_after: contribution.deregister_after,
        }),
    }
}

/// The ports of a service without a Kubernetes Service: of each name and protocol the one of the first origin.
fn union<'a>(contributions: impl Iterator<Item = &'a Contribution>) -> Ports {
    let mut ports: BTreeMap<_, &Port> = BTreeMap::new();
    for port in contributions.flat_map(|contribution| contribution.ports.iter()) {
        ports.entry((&port.name, port.protocol)).or_insert(port);
    }
    let mut ports: Vec<_> = ports.into_values().cloned().collect();
    ports.sort_unstable();
    ports.into()
}
