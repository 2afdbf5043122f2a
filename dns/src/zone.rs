//! The index of names: what is answered for each, kept in step with the stream by one writer, read by every worker.
//!
//! ```text
//!  stream --> subscription --> ZoneWriter::apply --Record per service--> Zone <-- lookup -- answer
//! ```
//!
//! - [`model`]: services and endpoints, compact
//! - [`record`]: one service as queries see it, computed when it changes
//! - [`writer`]: buckets and services in, changed records out
//! - [`shards`]: how readers and the writer share a map without waiting
//! - [`lookup`]: a question in, records out; [`node`]: which name that is; [`reverse`]: names from addresses
//! - [`apex`], [`label`], [`rng`]: the zone's top, labels, the order of answers
//!
//! No runtime, sockets or clock: time and randomness come in as parameters.

pub mod apex;
pub mod label;
pub mod lookup;
pub mod model;
pub mod node;
pub mod record;
pub mod reverse;
pub mod rng;
pub mod shards;
pub mod writer;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwapOption;

use apex::Apex;
use record::Record;
use shards::Shards;

pub use lookup::{Found, Lookup};
pub use rng::Rng;
pub use writer::ZoneWriter;

/// What stays the same for the life of the server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// TTL of every record and of negative answers, in seconds.
    pub ttl: u32,
    /// Addresses under which this server is reached: the name server's own A and AAAA records.
    pub name_servers: Vec<IpAddr>,
}

/// The readers' face of the index. [`ZoneWriter`] makes and changes it.
#[derive(Debug)]
pub struct Zone {
    settings: Settings,
    /// `None` until the catalog has been seen once.
    apex: ArcSwapOption<Apex>,
    /// Unix time of the last change.
    serial: AtomicU32,
    services: Shards<Arc<str>, Arc<Record>>,
    namespaces: Shards<Arc<str>, ()>,
    /// Keys of the services that an address leads back to. Almost always one.
    holders: Shards<IpAddr, Arc<[Arc<str>]>>,
}

const SERVICE_SHARDS: usize = 1024;
const NAMESPACE_SHARDS: usize = 64;
const ADDRESS_SHARDS: usize = 8192;

// === impl Zone ===

impl Zone {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            apex: ArcSwapOption::empty(),
            serial: AtomicU32::new(0),
            services: Shards::new(SERVICE_SHARDS),
            namespaces: Shards::new(NAMESPACE_SHARDS),
            holders: Shards::new(ADDRESS_SHARDS),
        }
    }

    /// Whether the whole catalog has been seen once. It never goes back: the last data is answered for as long as the
    /// stream is away.
    pub fn is_synced(&self) -> bool {
        self.apex.load().is_some()
    }

    /// The SOA serial: unix time of the last change, in seconds.
    pub fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    /// What is answered for a service, by its key `NAMESPACE/NAME`.
    pub fn service(&self, key: &str) -> Option<Arc<Record>> {
        self.services.get(key)
    }
}
