//! Resource types.

use std::{
    fmt,
    ops::{Index, IndexMut},
};

/// A resource type that this server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// CDS: `envoy.config.cluster.v3.Cluster`.
    Cluster,
    /// EDS: `envoy.config.endpoint.v3.ClusterLoadAssignment`, named as its Cluster.
    Endpoints,
    /// LDS: `envoy.config.listener.v3.Listener`.
    Listener,
    /// RDS: `envoy.config.route.v3.RouteConfiguration`.
    Route,
    /// `rollcall.v1.Service`.
    Service,
    /// `rollcall.v1.EndpointBucket`.
    EndpointBucket,
    /// `rollcall.v1.Machine`.
    Machine,
    /// `rollcall.v1.Zone`.
    Zone,
    /// Istio's ServiceEntry, as meshes read it by MCP-over-xDS. There where the server is told to have them.
    ServiceEntry,
    /// `rollcall.v1.Replica`: that a replica of the controller lives. Of this type and those below only replicas know.
    Replica,
    /// `rollcall.v1.Verdicts`: what a replica knows of the endpoints that it owns, by registration.
    Verdicts,
    /// `rollcall.v1.Doubt`: an endpoint that a replica asks others to probe as well.
    Doubt,
    /// `rollcall.v1.Testimony`: what another replica found there.
    Testimony,
    /// `rollcall.v1.OverheardBeats`: when instances were heard last, by shard.
    Beats,
    /// `rollcall.v1.Resolved`: the addresses of a DNS name, by the replica that asks for it.
    Resolved,
    /// `rollcall.v1.Exporter`: the cluster that exports. Of this type and those below only other clusters know.
    Exporter,
    /// `rollcall.v1.ExportedService`.
    ExportedService,
    /// `rollcall.v1.ExportedBucket`.
    ExportedBucket,
}

/// One `T` for each resource type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerType<T>([T; ResourceType::ALL.len()]);

// === impl ResourceType ===

impl ResourceType {
    /// Every type, in declaration order.
    pub const ALL: [Self; 18] = [
        Self::Cluster,
        Self::Endpoints,
        Self::Listener,
        Self::Route,
        Self::Service,
        Self::EndpointBucket,
        Self::Machine,
        Self::Zone,
        Self::ServiceEntry,
        Self::Replica,
        Self::Verdicts,
        Self::Doubt,
        Self::Testimony,
        Self::Beats,
        Self::Resolved,
        Self::Exporter,
        Self::ExportedService,
        Self::ExportedBucket,
    ];

    /// What replicas of the controller tell each other, and nobody else.
    pub const BETWEEN_REPLICAS: [Self; 6] =
        [Self::Replica, Self::Verdicts, Self::Doubt, Self::Testimony, Self::Beats, Self::Resolved];

    /// What a cluster tells others, and nobody else.
    pub const BETWEEN_CLUSTERS: [Self; 3] = [Self::ExportedBucket, Self::ExportedService, Self::Exporter];

    /// The type URL on the wire.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Service => "type.googleapis.com/rollcall.v1.Service",
            Self::EndpointBucket => "type.googleapis.com/rollcall.v1.EndpointBucket",
            Self::Machine => "type.googleapis.com/rollcall.v1.Machine",
            Self::Zone => "type.googleapis.com/rollcall.v1.Zone",
            Self::ServiceEntry => "networking.istio.io/v1/ServiceEntry",
            Self::Replica => "type.googleapis.com/rollcall.v1.Replica",
            Self::Verdicts => "type.googleapis.com/rollcall.v1.Verdicts",
            Self::Doubt => "type.googleapis.com/rollcall.v1.Doubt",
            Self::Testimony => "type.googleapis.com/rollcall.v1.Testimony",
            Self::Beats => "type.googleapis.com/rollcall.v1.OverheardBeats",
            Self::Resolved => "type.googleapis.com/rollcall.v1.Resolved",
            Self::Exporter => "type.googleapis.com/rollcall.v1.Exporter",
            Self::ExportedService => "type.googleapis.com/rollcall.v1.ExportedService",
            Self::ExportedBucket => "type.googleapis.com/rollcall.v1.ExportedBucket",
        }
    }

    /// What requests and responses may call it as well: a client is answered in its own words.
    pub const fn also_called(self) -> &'static [&'static str] {
        match self {
            Self::ServiceEntry => {
                &["networking.istio.io/v1beta1/ServiceEntry", "networking.istio.io/v1alpha3/ServiceEntry"]
            }
            _ => &[],
        }
    }

    /// The type URL of the content of a resource: by MCP-over-xDS a wrapper, whatever the type.
    pub const fn body_url(self) -> &'static str {
        match self {
            Self::ServiceEntry => "type.googleapis.com/istio.mcp.v1alpha1.Resource",
            _ => self.type_url(),
        }
    }

    /// Whether a response of the state-of-the-world variant bears all resources of the type, so that what is missing is no
    /// more (xDS protocol, "Deleting Resources").
    pub const fn is_told_whole(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener | Self::ServiceEntry)
    }

    /// The type of a type URL, if it is one of ours.
    pub fn from_type_url(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.type_url() == type_url || ty.also_called().contains(&type_url))
    }

    /// A short name for logs and metric labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Endpoints => "endpoints",
            Self::Listener => "listener",
            Self::Route => "route",
            Self::Service => "service",
            Self::EndpointBucket => "endpoint_bucket",
            Self::Machine => "machine",
            Self::Zone => "zone",
            Self::ServiceEntry => "service_entry",
            Self::Replica => "replica",
            Self::Verdicts => "verdicts",
            Self::Doubt => "doubt",
            Self::Testimony => "testimony",
            Self::Beats => "beats",
            Self::Resolved => "resolved",
            Self::Exporter => "exporter",
            Self::ExportedService => "exported_service",
            Self::ExportedBucket => "exported_bucket",
        }
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

// === impl PerType ===

impl<T> PerType<T> {
    /// Builds each entry from its type.
    pub fn from_fn(make: impl FnMut(ResourceType) -> T) -> Self {
        Self(ResourceType::ALL.map(make))
    }

    /// All entries with their types.
    pub fn iter(&self) -> impl Iterator<Item = (ResourceType, &T)> {
        ResourceType::ALL.into_iter().zip(&self.0)
    }

    /// All entries with their types, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ResourceType, &mut T)> {
        ResourceType::ALL.into_iter().zip(&mut self.0)
    }
}

impl<T> Index<ResourceType> for PerType<T> {
    type Output = T;

    fn index(&self, ty: ResourceType) -> &T {
        &self.0[ty as usize]
    }
}

impl<T> IndexMut<ResourceType> for PerType<T> {
    fn index_mut(&mut self, ty: ResourceType) -> &mut T {
        &mut self.0[ty as usize]
    }
}
