//! Heartbeats: instances that say themselves that they live, and what follows from their silence.
//!
//! ```text
//!  Heartbeat (definition) --+
//!  beat, from wherever -----+--> Beats --Change--> the ledger, witness `heartbeat`
//!  the time ----------------+
//! ```
//!
//! - [`definition`]: how often an instance beats, and which silence convicts it: a fixed time, or phi-accrual
//! - [`tail`]: the normal distribution's tail, exact; [`intervals`]: what was learned of one instance
//! - [`instance`]: one instance's life, from its beats and its silence
//! - [`machine`]: what checks on its machine say, each by itself
//! - [`awake`]: a clock that stands still while this process does: who slept convicts nobody
//! - [`ear`]: whether this process judges them
//! - [`wheel`]: what is to be looked at when, at the cost of what is due
//! - [`beats`]: all instances of a process; [`hearsay`]: what replicas tell each other of them
//!
//! Everything here is pure. What is heard is in memory alone: only what changes health is told.

pub mod awake;
pub mod beats;
pub mod definition;
pub mod ear;
pub mod hearsay;
pub mod instance;
pub mod intervals;
pub mod machine;
pub mod tail;
pub mod wheel;

use rollcall_catalog::model::Name;

use crate::ledger::{Vantage, Witness};

pub use beats::{Beating, Beats, Change, Heard, Silence};
pub use definition::{Detector, Heartbeat, Phi};
pub use ear::Ear;
pub use instance::{Due, NOTE_MAX, Said, Status};
pub use machine::OnMachine;

/// The name under which heartbeats are told beside the checks of a registration.
pub const NAME: &str = "heartbeat";

/// Who says what beats come to.
pub fn witness() -> Witness {
    Witness { name: Name::from(NAME), vantage: Vantage::Instance }
}
