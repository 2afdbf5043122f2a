//! The reading end of the stream, for the DNS server, agents and the CLI: whole resource types or single names, kept in step
//! over reconnects and failover.
//!
//! What was received is never dropped because a connection was lost. On reconnect the client says which versions it holds,
//! and the server sends the difference only, or nothing.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::resource::ResourceType;

mod backoff;
mod call;
mod config;
mod dial;
mod pace;
mod rounds;
mod state;
mod transport;

pub use self::{
    config::{Config, ConfigError, Credential, Known, Names},
    dial::Dialer,
    transport::run,
};

/// What [`run`] tells its sink. Only the answer to an [`Event::Update`] has an effect: `Ok` acknowledges it, `Err`
/// rejects it with that text (the server logs and counts it, and sends the resources again when they change).
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A server that has a synced catalog accepted the stream. What it sends next, if anything, is the difference to
    /// what the sink was given before.
    Connected {
        /// As in [`Config::servers`].
        server: Arc<str>,
    },
    /// Resources that changed.
    Update(Update),
    /// The stream ended. What the sink holds stays good, and grows old.
    Disconnected {
        /// Why, for people.
        reason: String,
        /// Until the next attempt, at the next server.
        retry_in: Duration,
    },
}

/// A part of the catalog: one response of the server. May be empty: "there is nothing of this type".
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The type of everything in it.
    pub ty: ResourceType,
    /// New and changed resources.
    pub upserts: Vec<Upsert>,
    /// Names that exist no longer; of those that were asked for by name also such as never did.
    pub removed: Vec<Arc<str>>,
}

/// A new or changed resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Upsert {
    /// Unique within its type.
    pub name: Arc<str>,
    /// Opaque; equal versions mean equal content.
    pub version: Arc<str>,
    /// The encoded message, to be decoded as the type of the update says. It shares the memory of the whole response:
    /// decode it and let it go.
    pub value: Bytes,
}
