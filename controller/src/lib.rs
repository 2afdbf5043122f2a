//! The controller: the operator that runs in the cluster, several replicas of it.
//!
//! ```text
//!  sources ----+                      +--> serve ------> discovery stream (every replica)
//!              +--> writer --Snapshot-+
//!  checks -----+    (one task)        +--> writeback --> Kubernetes API (the leader)
//! ```
//!
//! - [`sources`]: watches on the Kubernetes API; objects shrink here
//! - [`checks`]: active checks of registered endpoints
//! - [`writer`]: the one task that owns the catalog
//! - [`serve`]: the catalog as resources on the discovery stream; [`authority`]: its certificates
//! - [`leadership`]: the Lease and its fence
//! - [`writeback`]: EndpointSlices, CatalogEntries, status and Events
//! - [`start`]: joins them; [`args`]: flags; [`metrics`], [`propagation`]: what is measured
//! - [`denial`]: rights that are missing, in words; [`denials`]: those that writes met; [`cluster_domain`]: whether ours is the one of the cluster's pods
//! - [`clock`], [`backoff`], [`random`]: time and chance

pub mod args;
pub mod authority;
pub mod backoff;
pub mod checks;
pub mod clock;
pub mod cluster_domain;
pub mod denial;
pub mod denials;
mod kube_error;
pub mod leadership;
pub mod metrics;
pub mod propagation;
pub mod random;
pub mod serve;
pub mod sources;
pub mod start;
#[cfg(test)]
mod testing;
pub mod writeback;
pub mod writer;
