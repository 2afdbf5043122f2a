//! The index of names: what is answered for each, kept in step with the stream by one writer, read by every worker.
//!
//! ```text
//!  stream --> subscription --> ZoneWriter::apply --Record per service--> Zone <-- lookup -- answer
//! ```
//!
//! - [`model`]: services and endpoints, compact
//! - [`record`]: one service as queries see it; [`section`]: one bucket of its endpoints, computed when it changes; `sums` over those
//! - [`choices`]: endpoints by tag and zone
//! - [`machines`]: nodes and machines by their names
//! - [`writer`]: buckets and services in, changed records out
//! - [`shards`]: how readers and the writer share a map without waiting
//! - [`lookup`]: a question in, records out; [`node`]: which name that is, by the [`reading`] of its zone
//! - [`apexes`], [`apex`]: the zones and their tops; [`holders`]: which services an address leads back to
//! - [`age`]: whether an answer is too old
//! - [`label`], [`rng`]: labels, the order of answers
//!
//! No runtime, sockets or clock: time and randomness come in as parameters.

mod age;
pub mod apex;
pub mod apexes;
pub mod choices;
pub mod holders;
pub mod label;
pub mod lookup;
pub mod machines;
pub mod model;
pub(crate) mod node;
mod places;
pub mod reading;
pub mod record;
pub mod rng;
pub mod section;
pub mod shards;
mod sums;
pub mod writer;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use age::Age;
use apexes::Apexes;
use holders::{Holders, Role};
use reading::Reading;
use reading::exposed::Outward;
use reading::pods::PodNames;
use record::Record;
use shards::Shards;

pub use lookup::{Elsewhere, Found, Lookup};
pub use rng::Rng;
pub use writer::ZoneWriter;

/// What stays the same for the life of the server.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// TTL of every record and of negative answers, in seconds.
    pub ttl: u32,
    /// Addresses under which this server is reached: the name server's own A and AAAA records.
    pub name_servers: Vec<IpAddr>,
    /// Whether pods have names by their address.
    pub pod_names: PodNames,
    /// Of each endpoint is known by its address in which namespaces it is, ready or not, whatever the names of pods.
    pub knows_pods: bool,
    /// Names by the forms of a registry.
    pub registry: Registry,
    /// Names of services that are reached from outside the cluster.
    pub outward: Outward,
}

/// Domains in which services have names by the forms of a registry.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Fully qualified, in lower case; each has the same names.
    pub domains: Vec<hickory_proto::rr::Name>,
    /// Of names that say none.
    pub namespace: Arc<str>,
    /// What this cluster is called as a datacenter; empty for nothing.
    pub datacenter: Arc<str>,
    /// Endpoints with health Warning are left out.
    pub only_passing: bool,
}

/// The readers' face of the index. [`ZoneWriter`] makes and changes it.
#[derive(Debug)]
pub struct Zone {
    settings: Settings,
    /// `None` until the catalog has been seen once.
    apexes: ArcSwapOption<Apexes>,
    /// Unix time of the last change.
    serial: AtomicU32,
    services: Shards<Arc<str>, Arc<Record>>,
    namespaces: Shards<Arc<str>, ()>,
    /// The areas of all endpoints: zones, in lower case, and clusters.
    zones: ArcSwap<BTreeSet<Box<str>>>,
    /// The services that an address leads back to, and when names of pods are verified those with any endpoint there.
    holders: Shards<IpAddr, Holders>,
    machines: machines::Index,
    age: Age,
}

const SERVICE_SHARDS: usize = 1024;
const NAMESPACE_SHARDS: usize = 64;
const ADDRESS_SHARDS: usize = 8192;
const MACHINE_SHARDS: usize = 1024;

// === impl Zone ===

impl Zone {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            apexes: ArcSwapOption::empty(),
            serial: AtomicU32::new(0),
            services: Shards::new(SERVICE_SHARDS),
            namespaces: Shards::new(NAMESPACE_SHARDS),
            zones: ArcSwap::default(),
            holders: Shards::new(ADDRESS_SHARDS),
            machines: Shards::new(MACHINE_SHARDS),
            age: Age::default(),
        }
    }

    /// Whether the whole catalog has been seen once. It never goes back: the last data is answered for as long as the
    /// stream is away.
    pub fn is_synced(&self) -> bool {
        self.apexes.load().is_some()
    }

    /// The SOA serial: unix time of the last change, in seconds.
    pub fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    /// What is answered for a service, by its key `NAMESPACE/NAME`.
    pub fn service(&self, key: &str) -> Option<Arc<Record>> {
        self.services.get(key)
    }

    /// The SOA for the denial of a name that belongs to nobody's zone; `None` until the catalog has been seen.
    pub fn soa_of_others(&self) -> Option<hickory_proto::rr::Record> {
        let apexes = self.apexes.load();
        let root = hickory_proto::rr::Name::root();
        Some(apexes.as_ref()?.primary().soa(root, self.serial(), self.settings.ttl))
    }

    /// The zones, once the catalog has been seen.
    pub(crate) fn apexes(&self) -> arc_swap::Guard<Option<Arc<Apexes>>> {
        self.apexes.load()
    }

    /// TTL of every record and of negative answers, in seconds.
    pub(crate) fn ttl(&self) -> u32 {
        self.settings.ttl
    }

    /// All services, in no order.
    pub(crate) fn all_services(&self) -> Vec<Arc<Record>> {
        self.services.values()
    }

    /// Whether there are services in a namespace.
    pub(crate) fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.get(name).is_some()
    }

    /// The addresses of the name server of a zone: those under which clients reach this server, inside the cluster or from outside.
    pub(crate) fn name_servers(&self, reading: Reading) -> Cow<'_, [IpAddr]> {
        let service = self.settings.outward.service.as_deref().filter(|_| reading == Reading::Exposed);
        let record = service.and_then(|key| self.services.get(key));
        match record.as_deref().and_then(Record::exposed) {
            Some(exposed) => Cow::Owned(exposed.addresses.to_vec()),
            None => Cow::Borrowed(&self.settings.name_servers),
        }
    }

    /// Whether there are endpoints in a zone; its name in lower case.
    fn has_zone(&self, name: &[u8]) -> bool {
        !name.is_empty() && std::str::from_utf8(name).is_ok_and(|name| self.zones.load().contains(name))
    }

    /// The area of a cluster of which there are endpoints; its name in lower case.
    fn area_of(&self, cluster: &[u8]) -> Option<String> {
        let area = model::area_of(std::str::from_utf8(cluster).ok()?);
        self.zones.load().contains(&*area).then_some(area)
    }

    /// Whether a Service of a namespace has an endpoint at an address, ready or not. Known as the settings say.
    pub(crate) fn has_pod(&self, namespace: &str, address: IpAddr) -> bool {
        let roles = [Role::Endpoint, Role::Silent];
        let held = self.holders.get(&address);
        held.is_some_and(|held| roles.into_iter().any(|role| holders::has_namespace(&held, role, namespace)))
    }
}
