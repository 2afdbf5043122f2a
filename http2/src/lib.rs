//! HTTP/2 for servers that hold many connections which are silent most of the time (RFC 9113).
//!
//! A connection that is idle holds no buffer: what is read stands in one of its thread until it is understood, what is written is
//! given back when the network has it, and there is no table of headers. What a client may cost beside its requests is bounded
//! here as well, since only here it can be told apart.
//!
//! ```text
//!  bytes --> read --> Protocol::hear --> Request --> the service's future --> body
//!              (frame, hpack, request)                   |   polled when it is woken, when there is
//!  bytes <-- write <-- Output <---- respond, data -------+   a window to send in, and room in Output
//! ```
//!
//! [`Connection`] is one, as a future. `protocol` knows frames, streams and windows, and does no I/O; a stream's future and body
//! stand in `work`, and `queue` knows whose turn it is. All of a connection is one task, also what its services do.

mod bell;
mod code;
mod connection;
mod date;
mod frame;
mod hpack;
mod inbox;
mod limits;
mod output;
mod protocol;
mod queue;
mod request;
mod stock;
#[cfg(test)]
mod tests;
mod window;
mod work;

pub use self::{
    code::{Code, Error},
    connection::Connection,
    inbox::{Incoming, Reset},
    limits::Limits,
};
