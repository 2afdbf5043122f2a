//! A zone as a whole (RFC 5936), for servers that hold a copy: the names of a cluster, each as questions for it are answered.
//!
//! Names that are made of the question have none here: those of pods, by zone, and from addresses.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

use super::encode::Response;
use super::query::Query;
use crate::zone::apex::{Apex, prepend};
use crate::zone::model::Exposed;
use crate::zone::reading::Reading;
use crate::zone::record::Record as Service;
use crate::zone::{Found, Lookup, Rng, Zone};

/// A transfer that is under way. The services are those of its begin; what is told of each is of the moment when it is written, and
/// the serial that of the begin: what changed meanwhile is told again by the next transfer.
#[derive(Debug)]
pub struct Transfer {
    query: Query,
    apex: Apex,
    soa: Record,
    services: std::vec::IntoIter<Arc<Service>>,
    waiting: Vec<Record>,
    bytes: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Begin,
    On,
    Over,
}

/// Bytes of records after which a message is closed: far below what one may hold.
const MESSAGE_BYTES: usize = 16 << 10;
/// Largest message over a stream.
const MESSAGE_BYTES_MAX: u16 = u16::MAX;
/// The types that names have.
const TYPES: [RecordType; 4] = [RecordType::A, RecordType::AAAA, RecordType::SRV, RecordType::TXT];

// === impl Transfer ===

impl Transfer {
    /// Of the zone that a question asks for; `None` when it is none that is transferred.
    pub(super) fn of(query: Query, zone: &Zone) -> Result<Self, Box<Query>> {
        let apexes = zone.apexes();
        let apex = apexes.as_deref().and_then(|apexes| apexes.of(query.question.name()));
        let is_whole = |apex: &&Apex| {
            matches!(apex.reading(), Reading::Cluster | Reading::Exposed) && apex.origin() == query.question.name()
        };
        let Some(apex) = apex.filter(is_whole) else { return Err(Box::new(query)) };
        let soa = apex.soa(apex.origin().clone(), zone.serial(), zone.ttl());
        let services = zone.all_services().into_iter();
        Ok(Self { apex: apex.clone(), soa, services, waiting: Vec::new(), bytes: 0, state: State::Begin, query })
    }

    /// The question, which is not answered after all.
    pub(super) fn refused(self) -> Query {
        self.query
    }

    /// No more than the serial.
    pub(super) fn beginning(self) -> Response {
        let found = Found { answers: vec![self.soa], ..Found::default() };
        Response { authoritative: true, found, ..self.query.response() }
    }

    /// Writes the next message into `out`, which is cleared first. False when there is none any more.
    pub fn next(&mut self, zone: &Zone, rng: &mut Rng, out: &mut Vec<u8>) -> bool {
        out.clear();
        while self.bytes < MESSAGE_BYTES && self.state != State::Over {
            match self.state {
                State::Begin => {
                    self.push(self.soa.clone());
                    self.apex(zone, rng);
                    self.state = State::On;
                }
                State::On => match self.services.next() {
                    Some(service) => self.service(&service, zone, rng),
                    None => {
                        self.push(self.soa.clone());
                        self.state = State::Over;
                    }
                },
                State::Over => {}
            }
        }
        self.message(out)
    }

    /// As many of the waiting records as are worth a message.
    fn message(&mut self, out: &mut Vec<u8>) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let (mut count, mut bytes) = (0, 0);
        while count < self.waiting.len() && (count == 0 || bytes < MESSAGE_BYTES) {
            bytes += size(&self.waiting[count]);
            count += 1;
        }
        let answers: Vec<_> = self.waiting.drain(..count).collect();
        self.bytes = self.bytes.saturating_sub(bytes);
        let found = Found { answers, ..Found::default() };
        let response = self.query.response();
        let response = Response { authoritative: true, rcode: ResponseCode::NoError, found, ..response };
        response.encode(MESSAGE_BYTES_MAX, out);
        true
    }

    fn push(&mut self, record: Record) {
        let size = size(&record);
        // No message has room for it: nobody could be told of it by a question either.
        if size < usize::from(MESSAGE_BYTES_MAX) / 2 {
            self.bytes += size;
            self.waiting.push(record);
        }
    }

    fn apex(&mut self, zone: &Zone, rng: &mut Rng) {
        let (origin, server) = (self.apex.origin().clone(), self.apex.name_server().clone());
        self.ask(&origin, &[RecordType::NS], zone, rng);
        self.ask(&server, &TYPES[..2], zone, rng);
        if let Some(version) = prepend(&["dns-version"], &origin) {
            self.ask(&version, &[RecordType::TXT], zone, rng);
        }
    }

    fn service(&mut self, service: &Service, zone: &Zone, rng: &mut Rng) {
        // Longer than a name may be: it has none.
        let Some(own) = self.apex.reading().service_name(&self.apex, service) else { return };
        self.ask(&own, &[RecordType::CNAME], zone, rng);
        match service.exposed().filter(|_| self.apex.reading() == Reading::Exposed) {
            Some(exposed) => return self.exposed(exposed, &own, zone, rng),
            None => self.ask(&own, &TYPES, zone, rng),
        }
        for place in 0.. {
            let Some((protocol, name)) = service.port_at(place) else { break };
            if let Some(port) = prepend(&[&format!("_{name}"), protocol.label()], &own) {
                self.ask(&port, &[RecordType::SRV], zone, rng);
            }
        }
        let mut labels: Vec<_> = service.instances().map(|endpoint| &endpoint.label).collect();
        labels.sort_unstable();
        labels.dedup();
        for label in labels {
            if let Some(name) = prepend(&[label], &own) {
                self.ask(&name, &TYPES, zone, rng);
            }
        }
    }

    fn exposed(&mut self, exposed: &Exposed, own: &Name, zone: &Zone, rng: &mut Rng) {
        // Beside a CNAME there may be nothing (RFC 1034 §3.6.2), whatever a question for its ports is answered.
        let types = if exposed.alias().is_some() { &[][..] } else { &TYPES };
        self.ask(own, types, zone, rng);
        for port in exposed.ports.iter().filter(|port| !port.name.is_empty()) {
            if let Some(port) = prepend(&[&format!("_{}", port.name), port.protocol.label()], own) {
                self.ask(&port, &[RecordType::SRV], zone, rng);
            }
        }
    }

    /// What questions for a name are answered with, as far as it is about that name.
    fn ask(&mut self, name: &Name, types: &[RecordType], zone: &Zone, rng: &mut Rng) {
        for rtype in types {
            let Lookup::Found(found) = zone.lookup(name, *rtype, rng, usize::MAX) else { continue };
            let own = found.answers.into_iter().filter(|record| record.name == *name && record.record_type() == *rtype);
            own.for_each(|record| self.push(record));
        }
    }
}

/// Without compression.
fn size(record: &Record) -> usize {
    record.to_bytes().map_or(usize::MAX / 4, |bytes| bytes.len())
}
