//! Serving: the catalog as resources on the discovery stream. Every replica serves.
//!
//! ```text
//!  Snapshot --changed services--> publisher --changed buckets--> Served --Resource, encoded once--> xds::Cache --> streams
//! ```
//!
//! - [`publisher`]: keeps the resources of each service in step with the catalog
//! - [`served`]: what one service has on the stream, and what of it has to be encoded anew
//! - [`stale`]: what is said of a service that is stale
//! - [`rollcall`]: Rollcall's own types, for DNS servers
//! - [`envoy`]: Cluster and ClusterLoadAssignment
//! - [`machines`]: nodes, and what registered endpoints run on, by their names
//! - [`mesh`]: ServiceEntry, for meshes
//! - [`lens`]: what exists by name alone, and what looks different to some: gRPC targets, near and far, one's own part
//! - [`loads`]: load reports of clients, as metrics
//! - [`client_status`]: what each client holds and has refused, for tools (CSDS)
//! - [`start`]: the stream's listener; [`metrics`]: what is measured
//! - [`explain`]: one service as JSON, [`streams`]: who is served, for people; [`told`]: the same to other replicas

pub mod client_status;
pub mod envoy;
pub mod explain;
pub mod lens;
pub mod loads;
pub mod machines;
pub mod mesh;
pub mod metrics;
pub mod publisher;
pub mod rollcall;
pub mod served;
pub mod stale;
pub mod start;
pub mod streams;
pub mod told;

pub use start::start;
