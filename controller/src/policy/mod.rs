//! Policies: what owners of services decide about history. The rules are in `rollcall_catalog::hold`.
//!
//! - [`reading`]: a DiscoveryPolicy as the catalog has it, or why a section cannot be used
//! - [`flags`]: the cluster's default, written as the spec of a DiscoveryPolicy
//! - [`words`]: a section in plain words, for statuses, entries and explanations

pub mod flags;
pub mod reading;
pub mod words;
