//! Health: evidence becomes one verdict for each endpoint.
//!
//! ```text
//!  Plan ----> Checks --due, in fair turns--> Start --> Prober (I/O) --Outcome--> CheckState --Evidence--> Ledger --> Verdict
//! ```
//!
//! - [`definition`]: what a check does, how often and how many results decide
//! - [`plan`]: everything that is to be checked of one registration, and what an earlier process knew of it
//! - [`checks`]: what is due when, what is under way, what came of it; the one state machine that a driver runs
//! - [`beat`]: instances that say themselves that they live
//! - [`state`]: from results in a row to the health of one check; [`told`]: which of its reasons is told
//! - [`ledger`]: all that is known of an endpoint, from however many witnesses, and the verdict that follows
//! - [`schedule`]: phases, repeats and the time to evict; [`shares`]: fair turns; [`owner`]: which replica does what;
//!   [`lateness`]: what is told of how late probes begin
//! - [`membership`]: which replicas live; [`handover`]: who probes and whose word counts while they come and go;
//!   [`confirmation`]: whether others see it, too; [`suspicion`]: whether it is this replica that fails
//! - [`outcome`]: what one probe found, or that it found nothing because of us
//! - [`probe`]: one execution of a check, over a dialer that is a parameter
//!
//! All but [`probe`] is pure: time comes in as a parameter and nothing is awaited. Who runs it (the controller's checks, an
//! agent on a machine) is a loop around [`checks::Checks`] and [`probe::Prober`].

pub mod beat;
pub mod checks;
pub mod confirmation;
pub mod definition;
pub mod handover;
pub mod lateness;
pub mod ledger;
pub mod membership;
pub mod outcome;
pub mod owner;
pub mod plan;
pub mod probe;
pub mod schedule;
pub mod shares;
pub mod state;
pub mod suspicion;
mod timer;
pub mod told;

pub use checks::Checks;
pub use definition::{Check, CheckKind, Http, Target, Tcp, Thresholds};
pub use lateness::Lateness;
pub use outcome::{LocalFault, Outcome};
pub use plan::{Plan, Restored};
