//! How the names below an apex are read. The walk from a question to its answer knows none of their labels.
//!
//! - [`cluster`]: a cluster's own names, as the Kubernetes DNS specification 1.1.0 has them; [`pods`]: those of pods
//! - [`reverse`]: names from addresses
//! - [`registry`]: those of a registry, by the forms of Consul
//! - [`clusterset`]: those of services across clusters
//! - [`exposed`]: those of services that are reached from outside the cluster
//!
//! A further reading is a file here and a variant of
//! [`Reading`]; its apexes are added where the catalog's domain is taken over.

pub mod cluster;
pub mod clusterset;
pub mod exposed;
pub mod pods;
pub mod registry;
pub mod reverse;

use hickory_proto::rr::Name;

use super::Zone;
use super::apex::Apex;
use super::node::Node;
use super::record::Record;

/// One way to read names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// `SERVICE.NAMESPACE.svc` and what is around it.
    Cluster,
    /// Addresses of one family.
    Reverse(Family),
    /// `SERVICE.service` and what is around it.
    Registry,
    /// `SERVICE.NAMESPACE.svc` of what several clusters export.
    Clusterset,
    /// `SERVICE.NAMESPACE` of what is reached from outside the cluster.
    Exposed,
}

/// A family of addresses, each with a reverse tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `in-addr.arpa`
    V4,
    /// `ip6.arpa`
    V6,
}

// === impl Reading ===

impl Reading {
    /// What a name is; `labels` are those below the apex, in lower case.
    pub(super) fn node(self, zone: &Zone, labels: &[&[u8]]) -> Node {
        match self {
            Self::Cluster => zone.cluster_node(labels),
            Self::Reverse(family) => zone.reverse_node(family, labels),
            Self::Registry => zone.registry_node(labels),
            Self::Clusterset => zone.clusterset_node(labels),
            Self::Exposed => zone.exposed_node(labels),
        }
    }

    /// What a service is called below an apex of this reading; `None` when it has no name there, or one that is longer
    /// than a name may be.
    pub(crate) fn service_name(self, apex: &Apex, service: &Record) -> Option<Name> {
        match self {
            Self::Cluster => cluster::service_name(apex, service),
            Self::Exposed => exposed::service_name(apex.origin(), service.key()),
            Self::Reverse(_) | Self::Registry | Self::Clusterset => None,
        }
    }

    /// Whether other servers may know what this one does not.
    pub(crate) fn is_shared(self) -> bool {
        match self {
            Self::Cluster | Self::Registry | Self::Clusterset | Self::Exposed => false,
            Self::Reverse(_) => true,
        }
    }
}

// === impl Family ===

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The top of its reverse tree.
    pub fn origin(self) -> Name {
        let tree = match self {
            Self::V4 => "in-addr",
            Self::V6 => "ip6",
        };
        // Two short labels are a name.
        let mut origin = Name::from_labels([tree, "arpa"].map(str::as_bytes)).unwrap_or_default();
        origin.set_fqdn(true);
        origin
    }
}
