//! Active checks of registered endpoints: the loop around [`rollcall_health::Checks`].
//!
//! ```text
//!  registrations --Order--> runner --Start--> Prober --Outcome--> runner --Contribution, Verdict--> the writer
//!                              ^------------ what may be dialled ------------ the published catalog
//! ```
//!
//! - [`runner`]: the task; [`admission`]: nothing is dialled that the catalog keeps out
//! - [`metrics`]: what is counted
//!
//! Every replica runs every check and serves its own verdicts, so that no check waits for a leader; the leader writes
//! its verdicts into the status of registrations, from which a restarted replica takes up where it was.

pub mod admission;
pub mod metrics;
pub mod runner;

pub use metrics::Metrics;

/// Probes under way at most: each holds a socket.
pub const PROBES_MAX: usize = 1024;
