//! Resource types.

use std::{
    fmt,
    ops::{Index, IndexMut},
};

/// A resource type that this server knows.
///
/// LDS and RDS (`Listener`, `Route`) will stand between [`Endpoints`](Self::Endpoints) and
/// [`EndpointBucket`](Self::EndpointBucket) in the push order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// CDS: `envoy.config.cluster.v3.Cluster`.
    Cluster,
    /// EDS: `envoy.config.endpoint.v3.ClusterLoadAssignment`, named as its Cluster.
    Endpoints,
    /// `rollcall.v1.Service`.
    Service,
    /// `rollcall.v1.EndpointBucket`.
    EndpointBucket,
    /// `rollcall.v1.Zone`.
    Zone,
}

/// One `T` for each resource type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerType<T>([T; ResourceType::ALL.len()]);

// === impl ResourceType ===

impl ResourceType {
    /// Every type, in declaration order.
    pub const ALL: [Self; 5] = [Self::Cluster, Self::Endpoints, Self::Service, Self::EndpointBucket, Self::Zone];

    /// The type URL on the wire.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Service => "type.googleapis.com/rollcall.v1.Service",
            Self::EndpointBucket => "type.googleapis.com/rollcall.v1.EndpointBucket",
            Self::Zone => "type.googleapis.com/rollcall.v1.Zone",
        }
    }

    /// The type of a type URL, if it is one of ours.
    pub fn from_type_url(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.type_url() == type_url)
    }

    /// A short name for logs and metric labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Endpoints => "endpoints",
            Self::Service => "service",
            Self::EndpointBucket => "endpoint_bucket",
            Self::Zone => "zone",
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
