//! Write-back: what the catalog says, written to the Kubernetes API by the leader.
//!
//! ```text
//!  Snapshot --changed services--> queue --target--> desired - observed = writes --(fence, budget, timeout)--> API server
//!                                   ^                                                                           |
//!  watches --what stands there--> observed <--------------------- what we wrote --------------------------------+
//! ```
//!
//! - [`slices`], [`entries`], [`status`], [`events`]: what should stand there, as pure functions of a service
//! - [`observed`]: what does stand there
//! - [`plan`]: the difference between the two
//! - [`queue`]: which objects to look at next: by priority, each once, with a pause after a failure
//! - [`budget`]: how many writes a second
//! - [`apply`]: one write: fenced, server-side apply, with a timeout
//! - [`run`]: the loop that joins them; every replica runs it, the leader writes

pub mod apply;
pub mod budget;
pub mod entries;
pub mod events;
pub mod observed;
pub mod plan;
pub mod queue;
pub mod run;
pub mod slices;
pub mod status;
