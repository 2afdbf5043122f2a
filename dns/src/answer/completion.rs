//! Names that a pod's resolver tries before the one that it means: completed here, so that it need not try the others.
//!
//! With `ndots:5` a pod in `shop` asks for `api.example.com` as `api.example.com.shop.svc.cluster.local` first. When there is no such
//! name, what its resolver would try next is looked up in its place, and told by a CNAME to what was found: two queries (A and AAAA)
//! instead of eight or more. When nothing is found the answer is what it would have been, and the resolver goes on by itself.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hickory_proto::op::Query as Question;
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{Asker, foreign};
use crate::zone::reading::Reading;
use crate::zone::{Found, Lookup, Rng, Zone};

/// Whose names are completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completion {
    /// Nobody's.
    #[default]
    Off,
    /// Those of endpoints of a Service in the namespace that the name says. By the address of who asks: one that was just given to a
    /// pod of another namespace is not completed, as its names say that.
    Endpoints,
    /// Everybody's, by the name alone.
    All,
}

/// What a name was completed to.
#[derive(Debug)]
pub(super) enum Completed {
    /// A name here.
    Here(Found),
    /// A name elsewhere, and the chain that leads there.
    Elsewhere(Name, Vec<Record>),
}

/// What is asked for a name that is completed.
const fn is_of_hosts(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::A | RecordType::AAAA)
}

// === impl Completion ===

impl Completion {
    const ALL: [(Self, &str); 3] = [(Self::Off, "off"), (Self::Endpoints, "endpoints"), (Self::All, "all")];

    /// Whether a name without a node may be completed, which takes more than to say that it is not there.
    pub(super) fn concerns(self, reading: Reading, rtype: RecordType) -> bool {
        self != Self::Off && reading == Reading::Cluster && is_of_hosts(rtype)
    }

    fn trusts(self, zone: &Zone, namespace: &str, from: IpAddr) -> bool {
        match self {
            Self::Off => false,
            Self::Endpoints => zone.has_pod(namespace, from.to_canonical()),
            Self::All => zone.has_namespace(namespace),
        }
    }

    /// What a question about a name that is not there means.
    pub(super) fn of(
        self,
        question: &Question,
        asker: &Asker,
        zone: &Zone,
        rng: &mut Rng,
        max: usize,
    ) -> Option<Completed> {
        let apexes = zone.apexes();
        let apexes = apexes.as_deref()?;
        let (asked, rtype) = (question.name(), question.query_type());
        let apex = apexes.of(asked).filter(|apex| self.concerns(apex.reading(), rtype))?;
        let below = asked.iter().len().checked_sub(apex.origin().iter().len())?;
        let lower = asked.to_lowercase();
        let labels: Vec<&[u8]> = lower.iter().take(below).collect();
        let [meant @ .., namespace, tree] = &labels[..] else { return None };
        // A host of one label is nobody's outside, and a name below a service is no host's elsewhere.
        let (&[_, .., last], b"svc") = (meant, *tree) else { return None };
        let namespace = std::str::from_utf8(namespace).ok().filter(|name| self.trusts(zone, name, asker.from))?;
        let is_service = |service: &str| zone.service(&format!("{namespace}/{service}")).is_some();
        if std::str::from_utf8(last).is_ok_and(is_service) {
            return None;
        }
        let mut meant = Name::from_labels(asked.iter().take(meant.len())).ok()?;
        meant.set_fqdn(false);
        let services = Name::from_labels([b"svc".as_slice()]).ok()?.append_name(apex.origin()).ok()?;
        let further = [services, apex.origin().clone(), Name::root()];
        further.iter().find_map(|domain| {
            let mut name = meant.clone().append_domain(domain).ok()?;
            name.set_fqdn(true);
            here_or_elsewhere(asked, name, rtype, zone, rng, max)
        })
    }
}

/// What there is at `name`, led to from the name that was asked; `None` when there is no such name.
fn here_or_elsewhere(
    asked: &Name,
    name: Name,
    rtype: RecordType,
    zone: &Zone,
    rng: &mut Rng,
    max: usize,
) -> Option<Completed> {
    let leads = |to: &Name| Record::from_rdata(asked.clone(), zone.ttl(), RData::CNAME(CNAME(to.clone())));
    let found = zone.lookup(&name, rtype, rng, max);
    let question = Question::query(name.clone(), rtype);
    if let Some((target, chain)) = foreign::of(&question, &found) {
        let chain = std::iter::once(leads(&name)).chain(chain).collect();
        return Some(Completed::Elsewhere(target, chain));
    }
    match found {
        Lookup::Found(found) if !found.nx_domain => {
            let answers = std::iter::once(leads(&name)).chain(found.answers).collect();
            Some(Completed::Here(Found { answers, ..found }))
        }
        Lookup::Found(_) | Lookup::NotReady | Lookup::OutOfZone => None,
    }
}

impl fmt::Display for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(known, _)| known == self).map_or("off", |(_, word)| word))
    }
}

impl FromStr for Completion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|(_, word)| *word == text);
        known.map(|(known, _)| known).ok_or_else(|| "use off, endpoints or all".to_owned())
    }
}
