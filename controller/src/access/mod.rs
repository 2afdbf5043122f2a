//! Who somebody is and what they may do, as the API server says: by TokenReview and SubjectAccessReview, remembered.
//!
//! ```text
//!  token, certificate --> authenticate --> Identity --> may(verb, resource, namespace, name)
//!                             |                            |
//!                             +------> memory <------------+      asked again: a yes after two minutes, a no after ten
//!                                        |                        seconds; a yes stands for a bounded time while the API
//!                                      review --> API server      server is away
//! ```
//!
//! - [`judge`]: [`Access`], what others ask
//! - [`identity`]: who somebody is; [`right`]: what they may do; [`denied`]: a no, in words with the remedy
//! - [`token`]: what a token says of itself, and its fingerprint; [`memory`]: what is remembered, in bounded number
//! - [`review`]: the questions to the API server; [`penalty`]: who shows bad tokens is not asked for again and again
//! - [`metrics`]: what is measured

pub mod denied;
pub mod identity;
pub mod judge;
mod memory;
pub mod metrics;
mod penalty;
mod review;
pub mod right;
mod token;

pub use denied::Denied;
pub use identity::Identity;
pub use judge::{Access, Credential};
pub use right::Right;

use std::time::Duration;

use kube::Client;
use prometheus_client::registry::Registry;

/// Starts what judges callers, with the rights of the controller. A yes stands for `grace` after the API server was last
/// heard to say it, if it cannot be asked.
pub fn start(client: Client, grace: Duration, registry: &mut Registry) -> Access {
    let access = Access::new(client, grace);
    access.metrics().register(registry);
    access
}
