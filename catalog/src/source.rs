//! Who tells the catalog things: a source has a kind and, of many of its kind, an instance, each with its own freshness.

use std::fmt;

use crate::model::Name;

/// One source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId {
    /// What it tells of.
    pub kind: SourceKind,
    /// Which of its kind: the namespace of a watch, the name of a link or registry; `None` for the only one.
    pub instance: Option<Name>,
}

/// What a source tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum SourceKind {
    Services,
    EndpointSlices,
    Pods,
    Nodes,
    ServiceCidrs,
    ServiceRegistrations,
    Policies,
    CatalogEntries,
    /// Of those that instances renew as their heartbeat.
    Leases,
    /// Another cluster, by its link.
    Clusters,
    /// Of this cluster, by whose labels links import.
    Namespaces,
    /// Clusters of an inventory, by which links find theirs.
    ClusterProfiles,
    /// What this cluster tells others.
    ServiceExports,
    /// What it makes of what clusters export.
    ServiceImports,
    /// A registry elsewhere.
    Registries,
}

// === impl SourceKind ===

impl SourceKind {
    /// What the catalog of this cluster is made of.
    pub const CATALOG: [Self; 7] = [
        Self::Services,
        Self::EndpointSlices,
        Self::Pods,
        Self::Nodes,
        Self::ServiceCidrs,
        Self::ServiceRegistrations,
        Self::Policies,
    ];

    /// Whether the catalog is made without it on an API server that does not serve it.
    pub fn is_optional(self) -> bool {
        matches!(
            self,
            Self::ServiceCidrs | Self::Policies | Self::Clusters | Self::ServiceExports | Self::ServiceImports
        )
    }

    /// Its resource name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::Pods => "pods",
            Self::Nodes => "nodes",
            Self::ServiceCidrs => "servicecidrs",
            Self::ServiceRegistrations => "serviceregistrations",
            Self::Policies => "discoverypolicies",
            Self::CatalogEntries => "catalogentries",
            Self::Leases => "leases",
            Self::Clusters => "clusterlinks",
            Self::Namespaces => "namespaces",
            Self::ClusterProfiles => "clusterprofiles",
            Self::ServiceExports => "serviceexports",
            Self::ServiceImports => "serviceimports",
            Self::Registries => "externalregistries",
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl SourceId ===

impl SourceId {
    /// The only one of its kind.
    pub fn only(kind: SourceKind) -> Self {
        Self { kind, instance: None }
    }

    /// One of several.
    pub fn of(kind: SourceKind, instance: impl Into<Name>) -> Self {
        Self { kind, instance: Some(instance.into()) }
    }
}

/// `pods`, or `pods/shop`.
impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance {
            Some(instance) => write!(f, "{}/{instance}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}
