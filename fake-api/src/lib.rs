//! An API server for tests: objects, versions, watches, conflicts and faults, in memory and without a socket.
//!
//! It keeps what every client of Kubernetes relies on: each write has a version of its own and a write that changes
//! nothing has none; lists come in pages of one version; a watch tells what happened after a version, or that the version
//! is too old; a write over a version that no longer stands is a conflict; what one manager applied and no longer names is
//! taken away, what others set stays. It knows no schemas but for fields that a test has it prune, and admits everything, unless a rule of the test says no: what
//! only the real one can show belongs into `e2e/`.
//!
//! - [`FakeApi`]: the server, a [`kube::Client`] of it, and what a test does as somebody else
//! - [`asked`]: a request, as rules see it and tests read it afterwards
//! - [`fault`]: what may go wrong: refusals in the API server's words, lost requests and answers, silence
//! - [`store`]: objects and the log of what happened to them
//! - [`apply`]: server-side apply
//! - [`read`], [`write`], [`watch`]: the verbs; [`review`]: whose a token is, and what they may do
//! - [`service`]: HTTP in, HTTP out
//!
//! Time is tokio's: under paused time lag and timeouts cost nothing.

pub mod apply;
pub mod asked;
pub mod fault;
mod read;
mod review;
mod server;
mod service;
pub mod store;
mod watch;
mod write;

pub use asked::{Asked, Verb};
pub use fault::{Fault, Refusal};
pub use server::{FakeApi, RuleId};
