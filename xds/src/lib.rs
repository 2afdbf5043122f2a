//! Rollcall's discovery protocol: xDS as Envoy and gRPC speak it, and Rollcall's own resource types on the same stream.
//!
//! ```text
//! controller: Cache (one writer) --publish--> Snapshot --view--> server (a shell per stream) --> delta, sotw (pure)
//! dns, agents, CLI: client::run (transport) --> client::state (pure) --> Event --> the caller's sink
//! ```
//!
//! - [`resource`]: what travels: types, content versions, bytes encoded once
//! - [`cache`]: the catalog as resources: one writer, cheap immutable snapshots, a bounded ring of changes
//! - [`asking`]: the variants of the protocol, and what a stream is for
//! - [`view`]: what one stream sees of it
//! - [`stream`]: order, warming, window and bounds of a stream, for every variant of the protocol
//! - [`delta`], [`sotw`]: the server's side of one stream of either variant, as a state machine without I/O or clock
//! - [`name`]: `xdstp:` names
//! - [`known`]: what a client says that it holds
//! - [`server`]: gRPC around it
//! - [`framed`]: messages of gRPC without a buffer for each stream
//! - [`client`]: the other end, with reconnect and failover
//! - [`codec`]: messages into and out of the transport
//! - [`tls`]: the connections under both
//! - [`proto`]: the generated messages

pub mod asking;
pub mod cache;
pub mod client;
mod codec;
pub mod delta;
pub mod framed;
pub mod known;
pub mod name;
pub mod proto;
mod random;
mod rate;
pub mod resource;
pub mod server;
pub mod sotw;
pub mod stream;
pub mod tls;
pub mod view;
