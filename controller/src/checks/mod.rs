//! Active checks of registered endpoints.
//!
//! ```text
//!  registrations --Plan--> runner --due--> probe --Outcome--> CheckState (catalog::check) --Verdict--> the writer
//! ```
//!
//! Every replica runs every check and serves its own verdicts, so that no check waits for a leader; the leader writes
//! its verdicts into the status of registrations, from which a restarted replica takes up where it was.

pub mod metrics;
pub mod plan;
pub mod probe;
pub mod runner;
