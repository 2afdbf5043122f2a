//! The top of a zone: its name, its SOA, its name server, and how the names below it are read.

use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{Name, RData, Record};

use super::reading::Reading;

/// A domain that cannot be served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cluster domain {0:?} is not a domain name; set one like cluster.local in the controller")]
pub struct DomainError(String);

/// A zone that this server is the authority for.
#[derive(Clone, Debug)]
pub struct Apex {
    origin: Name,
    name_server: Name,
    host_master: Name,
    reading: Reading,
    wire: Wire,
}

/// What the name of a zone is on the wire, for answers that are put together from bytes.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The zone's name in lower case, without the root.
    pub origin: Box<[u8]>,
    /// Its labels.
    pub labels: usize,
    /// The domain that the name server and the host master are below, in the same form.
    pub servers: Box<[u8]>,
    /// How that and the zone's name stand to each other.
    pub kinship: Kinship,
    /// The name server's labels there; the last one is `dns`.
    pub name_server: &'static [u8],
    /// The host master is below that `dns`.
    pub is_host_master_beside: bool,
}

/// How two names stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinship {
    /// They are one.
    Same,
    /// They share no last label.
    None,
    /// Anything else.
    Some,
}

// === impl Apex ===

impl Apex {
    /// A zone by its name, with or without the trailing dot, whose name server is below it.
    pub fn new(domain: &str, reading: Reading) -> Result<Self, DomainError> {
        let bad = || DomainError(domain.to_owned());
        let mut origin = Name::from_ascii(domain.trim_end_matches('.')).map_err(|_| bad())?.to_lowercase();
        origin.set_fqdn(true);
        if origin.is_root() {
            return Err(bad());
        }
        let below = |labels: &[&str]| prepend(labels, &origin).ok_or_else(bad);
        // The names of CoreDNS, which users' checks know.
        let (name_server, host_master) = (below(&["ns", "dns"])?, below(&["hostmaster"])?);
        let wire = Wire::new(&origin, &origin);
        Ok(Self { origin, name_server, host_master, reading, wire })
    }

    /// A zone of services that are reached from outside, by the names of CoreDNS's plugin `k8s_external`, to which a parent zone may
    /// have delegated it. `None` when they are longer than a name may be.
    pub fn outward(origin: &Name) -> Option<Self> {
        let (name_server, host_master) = (prepend(&["ns1", "dns"], origin)?, prepend(&["hostmaster", "dns"], origin)?);
        let wire = Wire { name_server: b"\x03ns1\x03dns", is_host_master_beside: true, ..Wire::new(origin, origin) };
        Some(Self { origin: origin.clone(), name_server, host_master, reading: Reading::Exposed, wire })
    }

    /// Another zone with the same name server.
    pub fn beside(&self, origin: Name, reading: Reading) -> Self {
        let servers = self.host_master.base_name();
        Self { wire: Wire::new(&origin, &servers), origin, reading, ..self.clone() }
    }

    /// Its name as bytes.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The zone's name, in lower case.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// How the names below it are read.
    pub fn reading(&self) -> Reading {
        self.reading
    }

    /// The name of the server.
    pub fn name_server(&self) -> &Name {
        &self.name_server
    }

    /// The SOA record. Its minimum is the TTL of negative answers (RFC 2308 §4).
    pub fn soa(&self, owner: Name, serial: u32, ttl: u32) -> Record {
        let (refresh, retry, expire) = (7200, 1800, 86400);
        let soa = SOA::new(self.name_server.clone(), self.host_master.clone(), serial, refresh, retry, expire, ttl);
        Record::from_rdata(owner, ttl, RData::SOA(soa))
    }

    /// The NS record.
    pub fn ns(&self, owner: Name, ttl: u32) -> Record {
        Record::from_rdata(owner, ttl, RData::NS(NS(self.name_server.clone())))
    }
}

// === impl Wire ===

impl Wire {
    fn new(origin: &Name, servers: &Name) -> Self {
        let kinship = if origin == servers {
            Kinship::Same
        } else if origin.iter().next_back() == servers.iter().next_back() {
            Kinship::Some
        } else {
            Kinship::None
        };
        let (origin, labels, servers) = (wire(origin), origin.iter().len(), wire(servers));
        Self { origin, labels, servers, kinship, name_server: b"\x02ns\x03dns", is_host_master_beside: false }
    }
}

/// A name on the wire, without the root.
fn wire(name: &Name) -> Box<[u8]> {
    // A label has at most 63 bytes (RFC 1035 §2.3.4).
    name.iter().flat_map(|label| [&[label.len() as u8], label].concat()).collect()
}

/// `labels` before `base`; `None` when that is longer than a name may be (RFC 1035 §2.3.4).
pub(crate) fn prepend(labels: &[&str], base: &Name) -> Option<Name> {
    let mut name = Name::from_labels(labels.iter().map(|label| label.as_bytes())).ok()?.append_name(base).ok()?;
    name.set_fqdn(true);
    Some(name)
}
