//! Queries of the common kinds without the library: read in place, looked up by their labels, answered by copying bytes.
//! No allocation, no lock.
//!
//! - [`asked`]: the question as it lies in the query
//! - `targets`: ports of endpoints; `some`: addresses of some of them; `exposed`: addresses and ports out of the cluster
//! - [`write`]: header, records and OPT
//!
//! What is answered here is what the other way would answer, byte for byte; a test holds them together. Whatever is not
//! common takes the other way: chains of CNAMEs within the zones, several endpoints of one name, choices of very many.

mod asked;
mod exposed;
mod some;
mod targets;
mod write;

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};

use super::edns::{Edns, ExtendedError};
use super::encode::RECORD_BYTES_MIN;
use super::kept::Client;
use super::{Asker, Manner, Outside, Summary};
use crate::zone::apex::{Apex, Kinship};
use crate::zone::apexes::Apexes;
use crate::zone::holders::{Holders, Role};
use crate::zone::model::{Kind, Port, Protocol};
use crate::zone::node::Node;
use crate::zone::reading::Reading;
use crate::zone::record::Record;
use crate::zone::{Rng, Zone};
use asked::{Asked, NO_LABELS};
use write::Writer;

/// Room for a random choice: from so many, larger sets over TCP take the other way.
const PLACES: usize = 320;

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const OPT: u16 = 41;
/// From here on types are about servers, or about all types (RFC 6895 §3.1).
const META_TYPES_BEGIN: u16 = 249;
const META_TYPES_END: u16 = 255;

/// Whose answer was written.
#[derive(Debug)]
pub(super) enum Given {
    /// The catalog's.
    Ours(Summary),
    /// Another server's, which was kept.
    Others,
}

/// Answers a query of the common kind into `out`, which is empty; `None`, and nothing written, when it takes the other way.
pub(super) fn answer(
    query: &[u8],
    asker: &Asker,
    zone: &Zone,
    manner: &Manner,
    rng: &mut Rng,
    out: &mut Vec<u8>,
) -> Option<Given> {
    let mut asked = Asked::read(query, asker, manner)?;
    if !manner.clients.contain(asker.from) {
        return None;
    }
    if asked.rtype == OPT || (META_TYPES_BEGIN..=META_TYPES_END).contains(&asked.rtype) {
        return None;
    }
    let apexes = zone.apexes();
    let apexes = apexes.as_deref()?;
    let Some(apex) = apexes.of_wire(asked.name(), asked.starts()) else {
        return kept(&asked, asker, manner, out).then_some(Given::Others);
    };
    // Every answer of ours says then that it may be stale.
    if let Some(edns) = asked.edns.as_mut().filter(|_| zone.is_restored()) {
        edns.error = Some(ExtendedError::StaleAnswer);
    }
    let mut room = NO_LABELS;
    let below = asked.starts().len() - apex.wire().labels;
    let node = zone.node_below(apex, asked.labels(below, &mut room));
    let others_know = manner.outside == Outside::Forwarded || manner.hosts.is_some();
    if apex.reading().is_shared() && others_know && !matches!(node, Node::Address(..)) {
        return None; // another server, or a file, may know more
    }
    let may_be_completed =
        manner.outside == Outside::Forwarded && manner.completion.concerns(apex.reading(), asked.rtype.into());
    if may_be_completed && matches!(node, Node::Missing) {
        return None;
    }
    let limit = Edns::limit(asked.edns.as_ref(), asker.transport);
    let most = usize::from(limit) / RECORD_BYTES_MIN + 1;
    let writer = Writer::new(&asked, limit, out);
    let mut answering = Answering { zone, apexes, apex, below, most, others_know, rng, writer };
    let code = answering.node(&asked, &node);
    let Some(rcode) = code else {
        out.clear();
        return None;
    };
    let truncated = answering.writer.finish(&asked, rcode, manner.outside == Outside::Forwarded);
    let known_client = Edns::is_known(asked.edns.as_ref());
    let rtype = Some(RecordType::from(asked.rtype));
    Some(Given::Ours(Summary { rtype, rcode, truncated, known_client }))
}

/// The answer of another server that is kept for a name of nobody here. Whether there is one.
fn kept(asked: &Asked<'_>, asker: &Asker, manner: &Manner, out: &mut Vec<u8>) -> bool {
    let Some(at_hand) = &manner.kept else { return false };
    // A file may know the name. One of a single label is not asked of others.
    if manner.outside != Outside::Forwarded || manner.hosts.is_some() || asked.starts().len() == 1 {
        return false;
    }
    let mut room = [0; asked::KEY_BYTES_MAX];
    let Some(key) = asked.key(&mut room) else { return false };
    let client = Client { begin: asked.begin(), edns: asked.edns.as_ref(), name: asked.spelled(0) };
    at_hand.give(key, &client, asker.transport, out)
}

struct Answering<'a> {
    zone: &'a Zone,
    apexes: &'a Apexes,
    apex: &'a Apex,
    /// Labels of the name below the apex.
    below: usize,
    most: usize,
    /// Another server, or a file, may know names outside of the zones.
    others_know: bool,
    rng: &'a mut Rng,
    writer: Writer<'a>,
}

// === impl Answering ===

impl Answering<'_> {
    /// Writes what a node has for the question; the code, or `None` for the other way. Randomness is drawn only by what is
    /// sure to be answered here.
    fn node(&mut self, asked: &Asked<'_>, node: &Node) -> Option<ResponseCode> {
        let found = match (node, asked.rtype) {
            (Node::Missing, _) => return self.negative(asked, ResponseCode::NXDomain),
            // An answer that is too old says so.
            (
                Node::Service(record)
                | Node::External(record)
                | Node::Instances(record, _)
                | Node::Tagged(record, _)
                | Node::Exposed(record, _)
                | Node::Port(record, _),
                _,
            ) if record.staleness().is_some() => {
                return None;
            }
            // Of endpoints of silent clusters, some have to be told apart.
            (Node::Service(record) | Node::Port(record, _), _) if record.first().is_some() => return None,
            (Node::NameServer | Node::Stale, _) => return None,
            (Node::External(record), _) => self.external(asked, record)?,
            (Node::Service(_), TXT) if self.apex.reading() == Reading::Registry => return None,
            (Node::Apex, SOA | NS) | (Node::Version, TXT) | (Node::Instances(..) | Node::Tagged(..), TXT | SRV) => {
                return None;
            }
            (Node::Exposed(record, port), _) => self.exposed(asked, record, *port)?,
            (Node::Service(record), A | AAAA) => self.service(asked, record)?,
            (Node::Service(record), SRV) => self.ports(asked, record, None)?,
            (Node::Port(record, place), SRV) => {
                let (protocol, name) = record.port_at(*place)?;
                self.ports(asked, record, Some((*place, protocol, name)))?
            }
            (Node::Instances(record, places), A | AAAA) if places.len() == 1 => {
                let endpoint = record.instance(places.get(0)?)?;
                endpoint.addresses.iter().any(|address| self.address(asked, address))
            }
            (Node::Instances(record, places) | Node::Tagged(record, places), A | AAAA) => {
                self.some(asked, record, places)?
            }
            (Node::Machine(_), TXT) => return None,
            (Node::Machine(machine), A) => self.addresses(asked, &machine.v4)?,
            (Node::Machine(machine), AAAA) => self.addresses(asked, &machine.v6)?,
            (Node::Pod(address), A | AAAA) => self.address(asked, *address),
            (Node::Address(address, holders), PTR) => self.pointer(asked, *address, holders)?,
            (
                Node::Empty
                | Node::Apex
                | Node::Version
                | Node::Service(_)
                | Node::Instances(..)
                | Node::Tagged(..)
                | Node::Port(..)
                | Node::Machine(_)
                | Node::Pod(_)
                | Node::Address(..),
                _,
            ) => false,
        };
        if found { Some(ResponseCode::NoError) } else { self.negative(asked, ResponseCode::NoError) }
    }

    /// One address, if it is of the family that is asked for.
    fn address(&mut self, asked: &Asked<'_>, address: IpAddr) -> bool {
        let wanted = asked.rtype == if address.is_ipv4() { A } else { AAAA };
        if wanted {
            self.writer.address(asked, address, self.zone.ttl());
        }
        wanted
    }

    fn service(&mut self, asked: &Asked<'_>, record: &Record) -> Option<bool> {
        let mut places = [0; PLACES];
        let ttl = self.zone.ttl();
        let len = if asked.rtype == A { record.v4_len() } else { record.v6_len() };
        let count = self.rng.fill(&mut places, len, self.most)?;
        for place in places[..count].iter().map(|place| usize::from(*place)) {
            let address = if asked.rtype == A { record.v4_at(place)?.into() } else { record.v6_at(place)?.into() };
            if !self.writer.address(asked, address, ttl) {
                break;
            }
        }
        Some(count > 0)
    }

    /// The name elsewhere that a service stands for.
    fn external(&mut self, asked: &Asked<'_>, record: &Record) -> Option<bool> {
        let Kind::External { target } = record.kind() else { return None };
        target.as_ref().map_or(Some(false), |target| self.alias(asked, target))
    }

    /// The name that the question's name stands for.
    fn alias(&mut self, asked: &Asked<'_>, target: &Name) -> Option<bool> {
        if self.others_know || self.apexes.of(target).is_some() {
            return None; // the chain goes on
        }
        // A name that ends like the question's is pointed to.
        let last = asked.starts().len().checked_sub(1).map(|label| asked.spelled(label));
        if target.iter().next_back().zip(last).is_some_and(|(own, asked)| asked.get(1..) == Some(own)) {
            return None;
        }
        self.writer.alias(target, self.zone.ttl());
        Some(true)
    }

    /// The ports of a service, with virtual addresses at its own name.
    fn ports(&mut self, asked: &Asked<'_>, record: &Record, wanted: Option<(usize, Protocol, &str)>) -> Option<bool> {
        let below = match self.apex.reading() {
            Reading::Cluster => 3,
            Reading::Exposed => 2,
            Reading::Reverse(_) | Reading::Registry | Reading::Clusterset => return None,
        };
        let own = if wanted.is_some() { 2 } else { 0 };
        let (addresses, ports) = match record.kind() {
            Kind::ClusterIp { addresses, ports } => (addresses, ports),
            // Only below its own name: by zone they are at names of the service.
            Kind::Headless if self.below == own + below => return self.targets(asked, record, own, wanted),
            Kind::Headless | Kind::External { .. } => return None,
        };
        let is_wanted =
            |port: &&Port| wanted.is_none_or(|(_, protocol, name)| port.protocol == protocol && *port.name == *name);
        self.numbers(asked, own, ports.iter().filter(is_wanted).map(|port| port.number), addresses)
    }

    /// Ports at the name that begins at the label `own` of the question's, which has addresses.
    fn numbers(
        &mut self,
        asked: &Asked<'_>,
        own: usize,
        ports: impl Iterator<Item = u16>,
        addresses: &[IpAddr],
    ) -> Option<bool> {
        // The name is written: spelled in another case it would not be the question's.
        if asked.spelled(0) != asked.name() {
            return None;
        }
        let (mut numbers, mut len) = ([0_u16; PLACES], 0);
        for port in ports {
            *numbers.get_mut(len)? = port;
            len += 1;
        }
        // Two ports of one number are one record (RFC 2181 §5).
        let numbers = &mut numbers[..len];
        numbers.sort_unstable();
        let mut len = 0;
        for at in 0..numbers.len() {
            if len == 0 || numbers[len - 1] != numbers[at] {
                numbers[len] = numbers[at];
                len += 1;
            }
        }
        let (mut places, ttl) = ([0; PLACES], self.zone.ttl());
        let count = self.rng.fill(&mut places, len, self.most.min(len))?;
        for place in &places[..count] {
            self.writer.service_port(asked, own, numbers[usize::from(*place)], ttl);
        }
        if count > 0 {
            addresses.iter().for_each(|address| self.writer.additional(asked, own, *address, ttl));
        }
        Some(count > 0)
    }

    /// The one name that an address leads back to.
    fn pointer(&mut self, asked: &Asked<'_>, address: IpAddr, holders: &Holders) -> Option<bool> {
        let [(role, key)] = holders.told() else { return None };
        let primary = self.apexes.primary();
        let apart = self.apex.wire().kinship == Kinship::None && self.apex.wire().servers == primary.wire().origin;
        if !apart || primary.reading() != Reading::Cluster {
            return None;
        }
        let record = self.zone.service(key)?;
        let label = match role {
            Role::Virtual => None,
            Role::Endpoint => Some(&*record.only_at(address)?.label),
            Role::Exposed | Role::Silent => return None,
        };
        self.writer.pointer(asked, label, key, &primary.wire().origin, self.zone.ttl())
    }

    /// Nothing but the zone's SOA (RFC 2308 §2).
    fn negative(&mut self, asked: &Asked<'_>, code: ResponseCode) -> Option<ResponseCode> {
        let wire = self.apex.wire();
        // Of the zone's name as much as was sent in another case is written, and the rest is pointed to.
        let labels = asked.starts().len();
        let same = (self.below..labels).find(|label| asked.spelled(*label) == asked.lower(*label));
        let rest = same.map_or(0, |label| asked.lower(label).len());
        let written = wire.origin.get(..wire.origin.len().checked_sub(rest)?)?;
        // A name that ends like the name server's would be pointed to.
        let before = self.below.checked_sub(1).map_or(&[][..], |label| asked.spelled(label));
        if wire.kinship == Kinship::Same
            && [b"\x03dns".as_slice(), b"\x0ahostmaster"].iter().any(|own| before.starts_with(own))
        {
            return None;
        }
        let (ttl, serial) = (self.zone.ttl(), self.zone.serial());
        self.writer.soa(written, same.map(|label| asked.pointer(label)), wire, ttl, serial).map(|()| code)
    }
}
