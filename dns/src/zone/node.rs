//! Which name of a zone a query means.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::Name;

use super::Zone;
use super::apex::Apex;
use super::apexes::Apexes;
use super::holders::Holders;
use super::machines::Machine;
use super::record::{Places, Record};

/// A name, as far as the zone knows it.
#[derive(Debug)]
pub(crate) enum Node {
    /// It does not exist, nor does anything below it (RFC 8020).
    Missing,
    /// It exists without data of its own, because of the names below it (RFC 4592 §2.2.2).
    Empty,
    /// The zone's own name.
    Apex,
    /// This server's name.
    NameServer,
    /// `dns-version`
    Version,
    /// A service's name.
    Service(Arc<Record>),
    /// A name of a service that is too old to be told of, by its policy.
    Stale,
    /// That of a service that is a name elsewhere.
    External(Arc<Record>),
    /// At least one endpoint of a service, by their places among its instances: those with one label.
    Instances(Arc<Record>, Places),
    /// Endpoints of a service with a tag, by their places among its instances.
    Tagged(Arc<Record>, Places),
    /// A named port of a service, by its place among them.
    Port(Arc<Record>, usize),
    /// A service that is reached from outside the cluster, or one of its ports by its place among them.
    Exposed(Arc<Record>, Option<usize>),
    /// A machine.
    Machine(Arc<Machine>),
    /// A pod's name by its address.
    Pod(IpAddr),
    /// An address, and the services that it leads back to.
    Address(IpAddr, Holders),
}

// === impl Zone ===

impl Zone {
    /// The zone of a name and what the name is there; `None` when no zone of this server has it.
    pub(super) fn node<'a>(&self, apexes: &'a Apexes, name: &Name) -> Option<(&'a Apex, Node)> {
        let apex = apexes.of(name)?;
        // Names compare without regard to case (RFC 4343); the index is in lower case.
        let name = name.to_lowercase();
        // `Name::num_labels` leaves out a first label `*`.
        let below = name.iter().len().saturating_sub(apex.origin().iter().len());
        let labels: Vec<&[u8]> = name.iter().take(below).collect();
        Some((apex, self.node_below(apex, &labels)))
    }

    /// What a name is; `labels` are those below the apex, in lower case.
    pub(crate) fn node_below(&self, apex: &Apex, labels: &[&[u8]]) -> Node {
        apex.reading().node(self, labels)
    }
}
