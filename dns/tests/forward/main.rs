//! Names outside of the cluster, on real sockets, with other servers that do what they should and what they should not.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod failures;
mod fairness;
mod file;
mod kept;
mod loops;
mod proof;
mod relay;
mod server;
mod stubs;
mod tls;
mod upstream;
