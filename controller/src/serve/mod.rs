//! Serving: the catalog as resources on the discovery stream. Every replica serves.
//!
//! ```text
//!  Snapshot --changed services--> publisher --Resource, encoded once--> xds::Cache --> every stream
//! ```
//!
//! - [`publisher`]: keeps the resources of each service in step with the catalog
//! - [`rollcall`]: Rollcall's own types, for DNS servers
//! - [`envoy`]: Cluster and ClusterLoadAssignment
//! - [`explain`]: one service as JSON, for people

pub mod envoy;
pub mod explain;
pub mod publisher;
pub mod rollcall;
