//! Who writes: a Lease in the API server, with a fence.
//!
//! - [`election`]: the rules, as a pure state machine
//! - [`elector`]: reads and writes the Lease by those rules
//! - [`fence`]: until when a leader may begin a write

pub mod election;
pub mod elector;
pub mod fence;
