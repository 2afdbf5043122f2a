//! The public conformance suite of the Multi-Cluster Services API (mcs-api v0.5.0): what it has, and what of it needs pods that
//! answer.

/// So many of its specs are required.
pub const REQUIRED: usize = 14;
/// So many are optional.
pub const OPTIONAL: usize = 13;

/// The optional specs of connectivity, in the order of the cases in `e2e/node/tests/node/two_clusters.rs`, one for each. The others
/// are in `e2e/tests/clusters/cases.rs`.
pub const CONNECTIVITY: [&str; 4] = [
    "pods of every cluster reach an exported service by the clusterset's name",
    "of a Service that is in two clusters and exported from one, that one answers alone",
    "where two exports give one port name different numbers, the older one's number leads to its cluster alone",
    "ports of different names in two exports lead each to the cluster that has it",
];
