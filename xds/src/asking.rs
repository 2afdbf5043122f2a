//! How a client asks: the variant of the protocol, and what its stream is for.

use crate::resource::ResourceType;

/// The two variants of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Requests and responses say what is new and what goes. "Incremental" in Envoy's documents.
    Delta,
    /// Requests bear all names; responses all resources of Listeners and Clusters, and those of other types that changed.
    StateOfTheWorld,
}

/// Which types a stream is for. Others are as if there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serves {
    /// What callers and those who answer them read, all on one stream.
    #[default]
    Catalog,
    /// One type of it, on a stream of its own.
    Only(ResourceType),
    /// What replicas tell each other.
    Replicas,
    /// What clusters tell each other.
    Clusters,
}
