//! The zones of this server: any number of apexes, each with its own reading of names.

use hickory_proto::rr::Name;

use super::apex::{Apex, DomainError};
use super::reading::{Family, Reading};
use super::record::Record;

/// All apexes. A name belongs to the longest one that it lies below.
#[derive(Debug)]
pub struct Apexes {
    /// Those with the most labels first.
    all: Vec<Apex>,
    /// Under which services are named where the question does not say: in answers from addresses.
    primary: Apex,
}

// === impl Apexes ===

impl Apexes {
    /// What every cluster has: its domain, and both reverse trees.
    pub fn of_cluster(domain: &str) -> Result<Self, DomainError> {
        let primary = Apex::new(domain, Reading::Cluster)?;
        let mut apexes = Self { all: Vec::new(), primary: primary.clone() };
        for family in Family::ALL {
            apexes.add(primary.beside(family.origin(), Reading::Reverse(family)));
        }
        apexes.add(primary);
        Ok(apexes)
    }

    /// The domain of names across clusters.
    pub fn add_clusterset(&mut self, domain: &str) -> Result<(), DomainError> {
        let origin = Apex::new(domain, Reading::Clusterset)?.origin().clone();
        self.add(self.primary.beside(origin, Reading::Clusterset));
        Ok(())
    }

    /// Whether the zones are the same.
    pub fn is_like(&self, other: &Self) -> bool {
        let zones = |apexes: &Self| -> Vec<_> {
            apexes.all.iter().map(|apex| (apex.origin().clone(), apex.reading())).collect()
        };
        self.primary.origin() == other.primary.origin() && zones(self) == zones(other)
    }

    /// Domains of registries. None takes the name of another zone.
    pub fn add_registry(&mut self, domains: &[Name]) {
        // The root stands for none.
        for domain in domains.iter().filter(|domain| !domain.is_root()) {
            if self.all.iter().any(|apex| apex.origin() == domain) {
                tracing::warn!(%domain, "the domain of a registry is another zone's already, and has its names");
            } else {
                self.add(self.primary.beside(domain.clone(), Reading::Registry));
            }
        }
    }

    /// Domains of services that are reached from outside. None takes the name of another zone.
    pub fn add_exposed(&mut self, domains: &[Name]) {
        for domain in domains {
            match Apex::outward(domain) {
                Some(apex) if self.all.iter().all(|other| other.origin() != domain) => self.add(apex),
                Some(_) => {
                    tracing::warn!(%domain, "the domain of exposed services is another zone's already, and has its names");
                }
                None => tracing::warn!(%domain, "the domain of exposed services is too long to have a name server"),
            }
        }
    }

    /// One more, in place of the one of that name, if there is one.
    pub fn add(&mut self, apex: Apex) {
        self.all.retain(|other| other.origin() != apex.origin());
        self.all.push(apex);
        self.all.sort_by_key(|apex| std::cmp::Reverse(apex.origin().iter().len()));
    }

    /// The one of services' names in answers from addresses.
    pub fn primary(&self) -> &Apex {
        &self.primary
    }

    /// The one that a name belongs to, whatever its case; `None` when it is none of this server's.
    pub fn of(&self, name: &Name) -> Option<&Apex> {
        self.all.iter().find(|apex| apex.origin().zone_of(name))
    }

    /// The same for a name on the wire in lower case, without the root, of which each label begins at one of `starts`.
    pub(crate) fn of_wire(&self, name: &[u8], starts: &[u8]) -> Option<&Apex> {
        let ends_in = |apex: &&Apex| {
            let wire = apex.wire();
            let first = starts.len().checked_sub(wire.labels).and_then(|at| starts.get(at));
            first.is_some_and(|first| name.get(usize::from(*first)..) == Some(&*wire.origin))
        };
        self.all.iter().find(ends_in)
    }

    /// What a service is called below an apex, or below the primary one where services have no names; `None` when that
    /// is longer than a name may be.
    pub fn service_name(&self, apex: &Apex, service: &Record) -> Option<Name> {
        apex.reading()
            .service_name(apex, service)
            .or_else(|| self.primary.reading().service_name(&self.primary, service))
    }
}
