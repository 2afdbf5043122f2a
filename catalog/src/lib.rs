//! The catalog: what Rollcall knows about every service, as plain data.
//!
//! ```text
//!  Input --> Catalog::apply --> dirty services --> Catalog::publish(now): merge --> hold --> seal --> Snapshot
//! ```
//!
//! - [`model`]: the words: services, endpoints, ports, health
//! - [`input`]: what sources, checks and beats tell the catalog
//! - [`source`]: who tells them
//! - [`merge`]: contributions and verdicts of one service in, one [`Service`](service::Service) out; a pure function
//! - [`hold`], [`policy`], [`time`]: what needs history or a clock, and what a service's owner decided about it
//! - [`treatment`], [`report`]: what history did to an endpoint, and for which services a policy is in force
//! - [`guard`], [`port_mismatch`]: which addresses a registration may not claim, and why a Service has none of its ports
//! - [`bucket`], [`members`]: how a large service is cut, on the stream and in EndpointSlices alike, and kept so
//! - [`catalog`], [`snapshot`]: the one writer, what readers hold, and how they learn what changed
//! - [`time`]: a moment, as it comes in from outside
//! - [`clusterset`]: which Service stands for what several clusters export
//! - [`persistent`], [`few`], [`digest`], [`intern`]: the tools underneath
//!
//! Nothing here does I/O or reads a clock: time comes in as a parameter, so every rule is tested with `assert_eq!` alone.

pub mod bucket;
pub mod catalog;
pub mod clusterset;
pub mod digest;
pub mod evict;
pub mod few;
pub mod guard;
mod hashed;
pub mod hold;
pub mod input;
pub mod intern;
pub mod members;
pub mod merge;
pub mod model;
pub mod persistent;
pub mod policy;
pub mod port_mismatch;
pub mod report;
pub mod service;
pub mod snapshot;
pub mod source;
pub mod time;
pub mod treatment;

pub use catalog::Catalog;
pub use input::Input;
pub use model::{Endpoint, EndpointId, Health, Name, ServiceKey};
pub use service::Service;
pub use snapshot::Snapshot;
