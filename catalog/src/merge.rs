//! The merge: all that is said about one service in, one [`Service`] out.
//!
//! A pure function of the *set* of inputs. Contributions are taken in order of precedence (kind of origin, age, name),
//! so the order of their arrival does not matter; every tie is broken by a name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::digest::Version;
use crate::guard::Guard;
use crate::input::{Contribution, NodeFacts, Origin, OriginKind, PodFacts, ServiceFacts, Verdict};
use crate::model::{Conditions, Endpoint, EndpointId, Health, HealthSource, Name, Port, Ports, ServiceKey};
use crate::port_mismatch::PortMismatch;
use crate::service::{Excluded, Member, Registered, Service, Why};

/// What a merge may look up beside the contributions.
pub trait Lookup {
    /// The pod of this name.
    fn pod(&self, namespace: &Name, name: &Name) -> Option<&PodFacts>;
    /// The node of this name.
    fn node(&self, name: &str) -> Option<&NodeFacts>;
    /// The verdict on an endpoint of an origin.
    fn verdict(&self, origin: &Origin, endpoint: &Name) -> Option<&Verdict>;
    /// The address guard.
    fn guard(&self) -> &Guard;
}

/// Everything that is said about one service.
#[derive(Clone, Debug, Default)]
pub struct Statements {
    /// The Kubernetes Service.
    pub facts: Option<Arc<ServiceFacts>>,
    /// What origins contribute.
    pub contributions: BTreeMap<Arc<Origin>, Contribution>,
}

// === impl Statements ===

impl Statements {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.facts.is_none() && self.contributions.is_empty()
    }

    /// Every endpoint that is contributed.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.contributions.values().flat_map(|contribution| &contribution.endpoints)
    }
}

/// Merges one service. `None` when nothing is said about it.
pub fn merge(key: &ServiceKey, statements: &Statements, lookup: &impl Lookup) -> Option<Service> {
    if statements.is_empty() {
        return None;
    }
    let mut contributions: Vec<_> = statements.contributions.values().collect();
    contributions.sort_unstable_by(|a, b| a.precedence(b));

    let mut merge = Merge {
        key,
        facts: statements.facts.as_deref(),
        lookup,
        members: Vec::new(),
        by_pod: HashMap::new(),
        claims: HashMap::new(),
        ids: HashSet::new(),
        excluded: Vec::new(),
    };
    for contribution in &contributions {
        for endpoint in &contribution.endpoints {
            merge.offer(&contribution.origin, endpoint);
        }
        merge.excluded.extend(contribution.unusable.iter().map(|unusable| Excluded {
            name: Name::clone(&unusable.name),
            endpoint: None,
            origin: Arc::clone(&contribution.origin),
            why: Why::Unusable(unusable.problem.clone()),
        }));
    }
    let Merge { mut members, excluded, .. } = merge;
    members.sort_unstable_by_key(|member| member.id);
    let ports = statements.facts.as_ref().map_or_else(|| union(&contributions), |facts| Ports::clone(&facts.ports));
    let service = Service {
        key: key.clone(),
        facts: statements.facts.clone(),
        ports,
        endpoints: members.into(),
        excluded: excluded.into(),
        registrations: contributions.iter().filter_map(|contribution| registered(contribution)).collect(),
        version: Version::default(),
        story: Version::default(),
    };
    Some(service.seal())
}

struct Merge<'a, L> {
    key: &'a ServiceKey,
    facts: Option<&'a ServiceFacts>,
    lookup: &'a L,
    members: Vec<Member>,
    /// Where the endpoint of a pod stands in `members`: its other slices join it.
    by_pod: HashMap<&'a str, usize>,
    /// Which members have an address.
    claims: HashMap<IpAddr, Vec<usize>>,
    ids: HashSet<EndpointId>,
    excluded: Vec<Excluded>,
}

// === impl Merge ===

impl<'a, L: Lookup> Merge<'a, L> {
    fn offer(&mut self, origin: &Arc<Origin>, endpoint: &'a Arc<Endpoint>) {
        if let HealthSource::Conditions { pod: Some(pod) } = &endpoint.health_source {
            match self.by_pod.get(&**pod).copied() {
                Some(at) if self.join(at, endpoint) => return,
                _ => self.by_pod.insert(pod, self.members.len()),
            };
        }
        match self.admit(origin, endpoint) {
            Ok(endpoint) => {
                for ip in endpoint.addresses.iter() {
                    self.claims.entry(ip).or_default().push(self.members.len());
                }
                let mut member = self.member(origin, endpoint);
                member.id = self.distinct(member.id, &member.endpoint);
                self.members.push(member);
            }
            Err(why) => {
                if let HealthSource::Conditions { pod: Some(pod) } = &endpoint.health_source {
                    self.by_pod.remove(&**pod);
                }
                self.excluded.push(Excluded {
                    name: Name::clone(&endpoint.name),
                    endpoint: Some(Arc::clone(endpoint)),
                    origin: Arc::clone(origin),
                    why,
                });
            }
        }
    }

    /// Joins the same pod from a second slice: its other address family, or a copy while it moves between slices.
    fn join(&mut self, at: usize, endpoint: &Endpoint) -> bool {
        let joined = &self.members[at];
        let Some(addresses) = joined.endpoint.addresses.join(endpoint.addresses) else { return false };
        let conditions = Conditions {
            ready: joined.endpoint.conditions.ready || endpoint.conditions.ready,
            serving: joined.endpoint.conditions.serving || endpoint.conditions.serving,
            terminating: joined.endpoint.conditions.terminating && endpoint.conditions.terminating,
        };
        for ip in endpoint.addresses.iter() {
            self.claims.entry(ip).or_default().push(at);
        }
        let both = Endpoint { addresses, conditions, ..Endpoint::clone(&joined.endpoint) };
        let (id, origin) = (joined.id, Arc::clone(&joined.origin));
        self.members[at] = Member { id, ..self.member(&origin, Arc::new(both)) };
        true
    }

    /// An identity that no member has yet. A pod that two slices give different addresses is two endpoints for as long.
    fn distinct(&mut self, mut id: EndpointId, endpoint: &Endpoint) -> EndpointId {
        while !self.ids.insert(id) {
            id = EndpointId(xxh3_64(format!("{}\0{:?}", id.0, endpoint.addresses).as_bytes()));
        }
        id
    }

    /// Whether an endpoint may stand in the service, and with which ports.
    fn admit(&self, origin: &Origin, endpoint: &Arc<Endpoint>) -> Result<Arc<Endpoint>, Why> {
        let endpoint = match origin.kind {
            OriginKind::EndpointSlice => Arc::clone(endpoint),
            OriginKind::ServiceRegistration => {
                for ip in endpoint.addresses.iter() {
                    self.lookup.guard().check(&self.key.namespace, ip).map_err(|refusal| Why::Refused(ip, refusal))?;
                }
                self.known_ports(endpoint)?
            }
        };
        match endpoint.addresses.iter().find_map(|ip| Some((ip, self.claimant(ip, &endpoint.ports)?))) {
            Some((address, winner)) => Err(Why::Claimed {
                address,
                winner: Arc::clone(&winner.origin),
                name: Name::clone(&winner.endpoint.name),
            }),
            None => Ok(endpoint),
        }
    }

    /// Leaves of a registered endpoint the ports that the Service has.
    fn known_ports(&self, endpoint: &Arc<Endpoint>) -> Result<Arc<Endpoint>, Why> {
        let Some(facts) = self.facts.filter(|facts| !facts.ports.is_empty()) else { return Ok(Arc::clone(endpoint)) };
        let known = |port: &Port| facts.ports.iter().any(|own| own.name == port.name && own.protocol == port.protocol);
        let unknown = endpoint.ports.iter().filter(|port| !known(port)).count();
        if unknown == 0 {
            Ok(Arc::clone(endpoint))
        } else if unknown == endpoint.ports.len() {
            Err(Why::UnknownPorts(PortMismatch::new(&endpoint.ports, &facts.ports)))
        } else {
            let ports = endpoint.ports.iter().filter(|port| known(port)).cloned().collect();
            Ok(Arc::new(Endpoint { ports, ..Endpoint::clone(endpoint) }))
        }
    }

    /// The member that has `ip` with one of `ports` already. Two instances may share a machine on different ports.
    fn claimant(&self, ip: IpAddr, ports: &Ports) -> Option<&Member> {
        let same = |a: &Port, b: &Port| a.number == b.number && a.protocol == b.protocol;
        let overlap = |member: &&Member| {
            let theirs = &member.endpoint.ports;
            ports.is_empty()
                || theirs.is_empty()
                || ports.iter().any(|port| theirs.iter().any(|other| same(port, other)))
        };
        self.claims.get(&ip)?.iter().map(|at| &self.members[*at]).find(overlap)
    }

    fn member(&self, origin: &Arc<Origin>, endpoint: Arc<Endpoint>) -> Member {
        let pod = match &endpoint.health_source {
            HealthSource::Conditions { pod: Some(pod) } => self.lookup.pod(&self.key.namespace, pod),
            HealthSource::Conditions { pod: None }
            | HealthSource::Unchecked
            | HealthSource::Verdict
            | HealthSource::Maintenance(_) => None,
        };
        let judgement = self.judge(origin, &endpoint, pod);
        let zone = endpoint.zone.clone().or_else(|| self.lookup.node(endpoint.node.as_deref()?)?.zone.clone());
        let endpoint = match pod {
            Some(pod) => Arc::new(Endpoint { attributes: Arc::clone(&pod.attributes), ..Endpoint::clone(&endpoint) }),
            None => endpoint,
        };
        Member {
            id: identity(origin, &endpoint),
            origin: Arc::clone(origin),
            zone,
            health: judgement.health,
            conditions: judgement.conditions,
            since_ms: judgement.since_ms,
            reason: judgement.reason,
            endpoint,
        }
    }

    fn judge(&self, origin: &Origin, endpoint: &Endpoint, pod: Option<&PodFacts>) -> Judgement {
        match &endpoint.health_source {
            HealthSource::Conditions { .. } => {
                judge_conditions(endpoint.conditions, pod, self.facts.is_some_and(|facts| facts.publish_not_ready))
            }
            HealthSource::Unchecked => Judgement::of(Health::Passing, "registered without checks".into(), None),
            HealthSource::Maintenance(reason) => Judgement::of(Health::Maintenance, Name::clone(reason), None),
            HealthSource::Verdict => match self.lookup.verdict(origin, &endpoint.name) {
                Some(verdict) => Judgement::of(verdict.health, Name::clone(&verdict.reason), Some(verdict.since_ms)),
                None => Judgement::of(Health::Unknown, "not checked yet".into(), None),
            },
        }
    }
}

struct Judgement {
    health: Health,
    conditions: Conditions,
    since_ms: Option<i64>,
    reason: Name,
}

// === impl Judgement ===

impl Judgement {
    /// For a registered endpoint: health decides the conditions. In maintenance it still serves whom it has.
    fn of(health: Health, reason: Name, since_ms: Option<i64>) -> Self {
        let ready = health.is_callable();
        let conditions = Conditions { ready, serving: ready || health == Health::Maintenance, terminating: false };
        Self { health, conditions, since_ms, reason }
    }
}

/// For an endpoint of an EndpointSlice: the slice is the authority on readiness, and the pod may take it back sooner.
fn judge_conditions(said: Conditions, pod: Option<&PodFacts>, publish_not_ready: bool) -> Judgement {
    let terminating = said.terminating || pod.is_some_and(|pod| pod.terminating);
    let finished = pod.is_some_and(|pod| pod.finished);
    let ready = said.ready && !finished && (publish_not_ready || !terminating);
    let (health, reason) = match (ready, finished, terminating) {
        (true, ..) => (Health::Passing, "ready"),
        (false, true, _) => (Health::Critical, "the pod has ended"),
        (false, false, true) => (Health::Critical, "the pod is being deleted"),
        (false, false, false) => (Health::Critical, "not ready, as its EndpointSlice says"),
    };
    let conditions = Conditions { ready, serving: said.serving && !finished, terminating };
    Judgement { health, conditions, since_ms: None, reason: reason.into() }
}

fn identity(origin: &Origin, endpoint: &Endpoint) -> EndpointId {
    let name = match (&endpoint.health_source, origin.kind) {
        (HealthSource::Conditions { pod: Some(pod) }, _) => format!("pod\0{}\0{pod}", origin.namespace),
        (_, OriginKind::ServiceRegistration) => {
            format!("registration\0{}\0{}\0{}", origin.namespace, origin.name, endpoint.name)
        }
        (_, OriginKind::EndpointSlice) => format!("address\0{}\0{}", origin.namespace, endpoint.name),
    };
    EndpointId(xxh3_64(name.as_bytes()))
}

fn registered(contribution: &Contribution) -> Option<Registered> {
    match contribution.origin.kind {
        OriginKind::EndpointSlice => None,
        OriginKind::ServiceRegistration => Some(Registered {
            origin: Arc::clone(&contribution.origin),
            generation: contribution.generation,
            problems: Arc::clone(&contribution.problems),
            time_to_evict: contribution.time_to_evict,
        }),
    }
}

/// The ports of a service without a Kubernetes Service: of each name and protocol the one of the first origin.
fn union(contributions: &[&Contribution]) -> Ports {
    let mut ports: Vec<Port> = Vec::new();
    for port in contributions.iter().flat_map(|contribution| contribution.ports.iter()) {
        if !ports.iter().any(|known| known.name == port.name && known.protocol == port.protocol) {
            ports.push(port.clone());
        }
    }
    ports.sort_unstable();
    ports.into()
}
