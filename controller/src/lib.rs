//! The controller: the operator that runs in the cluster, several replicas of it.
//!
//! ```text
//!  sources ----+                      +--> serve ------> discovery stream (every replica)
//!              +--> writer --Snapshot-+
//!  checks -----+    (one task)        +--> writeback --> Kubernetes API (the leader)
//! ```
//!
//! - [`sources`]: watches on the Kubernetes API; objects shrink here; [`registration`]: a registration, read once
//! - [`resolve`]: endpoints that are given by a DNS name, between the watch and who reads registrations
//! - [`checks`]: active checks of registered endpoints; [`beats`]: what they say themselves
//! - [`replicas`]: who is there, who owns which work, and what replicas tell each other
//! - [`agents`]: machines outside the cluster that register themselves
//! - [`federation`]: other clusters, what is exported to them and imported of theirs
//! - [`evictions`]: how long it really takes until a dead endpoint is out
//! - [`policy`]: what owners of services decide about history
//! - [`writer`]: the one task that owns the catalog
//! - [`serve`]: the catalog as resources on the discovery stream; the crate `authority` keeps its certificates
//! - [`bootstraps`]: bootstrap files for pods, in ConfigMaps
//! - [`leadership`]: the Lease and its fence
//! - [`writeback`]: EndpointSlices, CatalogEntries, status and Events
//! - [`api`]: the HTTPS port for questions and beats; [`access`]: who may do what, as the API server says
//! - [`start`]: joins them; [`args`]: flags; what is measured is each room's own
//! - [`kubernetes`]: how the API is spoken to, whatever the kind; [`time`]: time and chance
//! - [`cluster_domain`]: whether ours is the one of the cluster's pods

pub mod access;
pub mod agents;
pub mod api;
pub mod args;
pub mod beats;
pub mod bootstraps;
pub mod checks;
pub mod cluster_domain;
pub mod evictions;
pub mod federation;
pub mod kubernetes;
pub mod leadership;
pub mod policy;
pub mod readers;
pub mod registration;
pub mod replicas;
pub mod resolve;
pub mod serve;
pub mod sources;
pub mod start;
#[cfg(test)]
mod testing;
pub mod time;
pub mod writeback;
pub mod writer;
