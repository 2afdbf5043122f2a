//! Endpoints become candidates: judged, with an identity, not yet measured against one another.

use std::cmp::Ordering;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::{Context, Lookup, Pod, Rank};
use crate::hashed::{HashMap, HashSet};
use crate::input::{Origin, OriginKind};
use crate::model::{Conditions, Endpoint, EndpointId, PodRef};
use crate::service::{Excluded, Likeness, Member, Particulars, Why};

/// An endpoint on its way into the service.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The identity that its origin gives it; several endpoints may have the same.
    pub(crate) group: u64,
    pub(crate) order: Order,
    stand: Stand,
    /// Another has its address.
    lost: Option<Box<Why>>,
}

/// What an endpoint is by itself, before it is measured against others.
#[derive(Clone, Debug)]
enum Stand {
    /// It may be in the service.
    Offered(Member),
    /// It may not, whoever else is.
    Refused(Arc<Endpoint>, Box<Why>),
}

/// Precedence between endpoints: of their origins, then the order within one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) rank: Rank,
    pub(crate) position: usize,
}

/// What an origin says of one identity.
struct Offer<'a> {
    group: u64,
    /// Contributions are counted in order of precedence.
    place: (usize, usize),
    rank: &'a Rank,
    endpoint: &'a Arc<Endpoint>,
}

/// What was told of the members of a merge: the endpoints of a service are of few origins, in a few zones, and well for one reason.
type Told = HashMap<Likeness, Arc<Particulars>>;

/// What a slice says is joined with one of this many at most that were said before of the same identity. A pod has one,
/// and two while it moves; the bound is for those who name one pod a thousand times.
const JOINS_MAX: usize = 16;

/// The identity of an endpoint, from what names it in its origin. A pod is named by namespace and name: if two of that
/// name are in one service (one is gone, or moves), they are told apart there.
pub(crate) fn identity(origin: &Origin, endpoint: &Endpoint) -> u64 {
    let name = match (endpoint.pod(), origin.kind) {
        (Some((name, pod)), _) => return pod_identity(pod.namespace_in(&origin.namespace), name),
        (None, OriginKind::ServiceRegistration) => {
            format!("registration\0{}\0{}\0{}", origin.namespace, origin.name, endpoint.name())
        }
        (None, OriginKind::Import) => {
            let peer = format!("import\0{}\0{}\0{}", origin.place, origin.namespace, origin.name);
            format!("{peer}\0{}", endpoint.name())
        }
        (None, OriginKind::EndpointSlice | OriginKind::Service) => {
            format!("address\0{}\0{}", origin.namespace, endpoint.name())
        }
    };
    xxh3_64(name.as_bytes())
}

/// The identity of the endpoints of a pod.
pub(crate) fn pod_identity(namespace: &str, name: &str) -> u64 {
    xxh3_64(format!("pod\0{namespace}\0{name}").as_bytes())
}

// === impl Offer ===

impl Offer<'_> {
    /// An identity that none of the group has yet: that of the group, else one that its addresses tell apart, or its
    /// place if there are more of those.
    fn distinct(&self, ids: &mut HashSet<EndpointId>, endpoint: &Endpoint) -> EndpointId {
        let mut id = EndpointId(self.group);
        let Endpoint { addresses, .. } = endpoint;
        for attempt in 0_u32.. {
            if ids.insert(id) {
                break;
            }
            let apart = match attempt {
                0 => format!("{}\0{addresses:?}", self.group),
                _ => format!("{}\0{addresses:?}\0{}\0{}\0{attempt}", self.group, self.rank.origin.name, self.place.1),
            };
            id = EndpointId(xxh3_64(apart.as_bytes()));
        }
        id
    }
}

// === impl Order ===

impl Ord for Order {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank).then_with(|| self.position.cmp(&other.position))
    }
}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

// === impl Candidate ===

impl Candidate {
    fn new(offer: &Offer<'_>, stand: Stand) -> Self {
        let order = Order { rank: offer.rank.clone(), position: offer.place.1 };
        Self { group: offer.group, order, stand, lost: None }
    }

    /// The member that it is or would be.
    pub(crate) fn member(&self) -> Option<&Member> {
        match &self.stand {
            Stand::Offered(member) => Some(member),
            Stand::Refused(..) => None,
        }
    }

    /// The member, if it is one.
    pub(crate) fn standing(&self) -> Option<&Member> {
        self.member().filter(|_| self.lost.is_none())
    }

    /// The member, if it is one.
    pub(crate) fn into_standing(self) -> Option<Member> {
        match self.stand {
            Stand::Offered(member) if self.lost.is_none() => Some(member),
            Stand::Offered(_) | Stand::Refused(..) => None,
        }
    }

    /// How the contest ended for it: who has its address, if another has.
    pub(crate) fn settle(&mut self, lost: Option<Why>) {
        self.lost = lost.map(Box::new);
    }

    /// Why it is kept out.
    pub(crate) fn excluded(&self) -> Option<(Order, Excluded)> {
        let (endpoint, why) = match (&self.stand, &self.lost) {
            (Stand::Offered(_), None) => return None,
            (Stand::Offered(member), Some(why)) => (&member.endpoint, why),
            (Stand::Refused(endpoint, why), _) => (endpoint, why),
        };
        let excluded = Excluded {
            name: endpoint.name().to_name(),
            endpoint: Some(Arc::clone(endpoint)),
            origin: Arc::clone(&self.order.rank.origin),
            why: Why::clone(why),
        };
        Some((self.order.clone(), excluded))
    }
}

// === impl Context ===

impl<'a, L: Lookup> Context<'a, L> {
    /// The candidates of the wanted identities, those of one together.
    pub(crate) fn candidates(&self, wanted: impl Fn(u64) -> bool) -> Vec<Candidate> {
        let mut offers: Vec<Offer<'a>> = Vec::new();
        for (at, (rank, statement)) in self.statements.contributions.iter().enumerate() {
            let offer = |(position, (group, endpoint))| Offer { group, place: (at, position), rank, endpoint };
            offers.extend(statement.endpoints().enumerate().filter(|(_, (group, _))| wanted(*group)).map(offer));
        }
        offers.sort_unstable_by_key(|offer| (offer.group, offer.place));
        let (mut candidates, mut told) = (Vec::with_capacity(offers.len()), Told::default());
        for group in offers.chunk_by(|a, b| a.group == b.group) {
            self.group(group, &mut candidates, &mut told);
        }
        candidates
    }

    /// The candidates of one identity.
    fn group(&self, offers: &[Offer<'_>], candidates: &mut Vec<Candidate>, told: &mut Told) {
        let first = candidates.len();
        let mut ids = HashSet::default();
        for offer in offers {
            if self.is_gone(offer) {
                let stand = Stand::Refused(Arc::clone(offer.endpoint), Box::new(Why::PodGone));
                candidates.push(Candidate::new(offer, stand));
                continue;
            }
            let mut together = candidates[first..].iter_mut().take(JOINS_MAX);
            if offer.rank.origin.kind == OriginKind::EndpointSlice
                && together.any(|candidate| self.join(candidate, offer, told))
            {
                continue;
            }
            let stand = match self.admit(&offer.rank.origin, offer.endpoint) {
                Ok(endpoint) => {
                    let mut member = self.member(&offer.rank.origin, offer.endpoint, endpoint, told);
                    member.id = match offers {
                        [_] => EndpointId(offer.group),
                        _ => offer.distinct(&mut ids, &member.endpoint),
                    };
                    Stand::Offered(member)
                }
                Err(why) => Stand::Refused(Arc::clone(offer.endpoint), Box::new(why)),
            };
            candidates.push(Candidate::new(offer, stand));
        }
    }

    /// Whether it is of a pod that was there and is gone: it is not even among those that are not ready, which some
    /// Services publish.
    fn is_gone(&self, offer: &Offer<'_>) -> bool {
        let pod = offer.endpoint.pod().map(|(name, pod)| self.lookup.pod(&offer.rank.origin.namespace, name, pod));
        matches!(pod, Some(Pod::Gone)) && self.statements.facts.is_some()
    }

    /// Joins the same endpoint from a second slice: its other address family, or a copy while it moves between slices.
    /// Readiness belongs to a pod and a set of ports, so only equal sets are joined.
    fn join(&self, candidate: &mut Candidate, offer: &Offer<'_>, told: &mut Told) -> bool {
        let Stand::Offered(joined) = &mut candidate.stand else { return false };
        let (old, new) = (&*joined.endpoint, &**offer.endpoint);
        if old.name() != new.name() || old.ports != new.ports || !is_same_pod(old, new) {
            return false;
        }
        let Some(addresses) = old.addresses.join(new.addresses) else { return false };
        let conditions = Conditions {
            ready: old.conditions.ready || new.conditions.ready,
            serving: old.conditions.serving || new.conditions.serving,
            terminating: old.conditions.terminating && new.conditions.terminating,
        };
        let both = Arc::new(Endpoint { addresses, ..old.with(|described| described.conditions = conditions) });
        let both = self.member(&candidate.order.rank.origin, &both, Arc::clone(&both), told);
        *joined = Member { id: joined.id, ..both };
        true
    }

    /// A member of no identity yet. `said` is what its origin says, `endpoint` what of it stands in the service.
    fn member(&self, origin: &Arc<Origin>, said: &Endpoint, endpoint: Arc<Endpoint>, told: &mut Told) -> Member {
        let pod = said.pod().map_or(Pod::Unseen, |(name, pod)| self.lookup.pod(&origin.namespace, name, pod));
        let judgement = self.judge(origin, said, pod);
        let node = endpoint.node.as_deref().and_then(|node| self.lookup.node(node));
        let attributes = match (pod, said.pod()) {
            // What a pod of another namespace is labelled with is not this namespace's to tell.
            (Pod::There(facts), Some((_, PodRef { namespace: None, .. }))) => &facts.attributes,
            _ => &endpoint.attributes,
        };
        let particulars = Particulars {
            origin: Arc::clone(origin),
            zone: endpoint.zone.clone().or_else(|| node?.zone.clone()),
            region: endpoint.region.clone().or_else(|| node?.region.clone()),
            attributes: Arc::clone(attributes),
            since_ms: judgement.since_ms,
            reason: judgement.reason,
            checks: judgement.checks,
            treatment: None,
        };
        let particulars = match particulars.likeness() {
            Some(likeness) => Arc::clone(told.entry(likeness).or_insert_with(|| Arc::new(particulars))),
            None => Arc::new(particulars),
        };
        Member {
            id: EndpointId(0),
            health: judgement.health,
            conditions: judgement.conditions,
            is_pod_there: is_there(said, pod),
            particulars,
            endpoint,
        }
    }
}

/// Whether it is a pod that runs, and whose addresses these are: then nobody else is checked in its place.
pub(crate) fn is_there(endpoint: &Endpoint, pod: Pod<'_>) -> bool {
    let (Pod::There(facts), Some((_, PodRef { namespace: None, .. }))) = (pod, endpoint.pod()) else { return false };
    let runs = !facts.terminating && !facts.finished && !endpoint.conditions.terminating;
    runs && facts.addresses.is_some_and(|own| endpoint.addresses.iter().all(|ip| own.contains(ip)))
}

/// Whether both speak of one pod, or both of none. One that names no uid means whichever pod has the name.
fn is_same_pod(a: &Endpoint, b: &Endpoint) -> bool {
    match (a.pod(), b.pod()) {
        (Some((one, a)), Some((other, b))) => {
            a.namespace == b.namespace && one == other && (a.uid == b.uid || a.uid.is_none() || b.uid.is_none())
        }
        (None, None) => true,
        _ => false,
    }
}
