//! A question in, records out.

use std::borrow::Cow;
use std::sync::Arc;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, HINFO, PTR, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::apex::{Apex, prepend};
use super::model::{Endpoint, Kind, Protocol};
use super::node::Node;
use super::record::Record as Service;
use super::{Rng, Zone};

/// What a zone knows about a question.
#[derive(Debug, PartialEq)]
pub enum Lookup {
    /// The catalog has not been seen yet.
    NotReady,
    /// The name belongs to no zone of this server.
    OutOfZone,
    /// An authoritative answer.
    Found(Found),
}

/// An authoritative answer. Without `answers` it says that the name has no such data or, with `nx_domain`, that it does
/// not exist.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// The name, or the last one of a chain of CNAMEs, does not exist (RFC 6604 §3).
    pub nx_domain: bool,
    /// The records asked for, in the order to be given.
    pub answers: Vec<Record>,
    /// The SOA of a negative answer (RFC 2308 §2), or nothing.
    pub authorities: Vec<Record>,
    /// What the asker would ask next; may be left out.
    pub additionals: Vec<Record>,
    /// The name that another server may know more about: the target of the last CNAME, outside of the zones here, or a
    /// reverse name that the catalog does not know.
    pub elsewhere: Option<Name>,
}

/// CNAMEs followed within the own zone. Deeper chains, and loops, end there: the asker sees the chain so far.
const CHAIN_MAX: usize = 8;

// === impl Zone ===

impl Zone {
    /// Looks a question up. Sets of addresses and SRV records come in random order, at most `max` of them: more than
    /// fit into the answer are not worth making.
    pub fn lookup(&self, name: &Name, rtype: RecordType, rng: &mut Rng, max: usize) -> Lookup {
        let apex = self.apex.load();
        let Some(apex) = apex.as_deref() else { return Lookup::NotReady };
        let mut asking = Asking { zone: self, rtype, rng, max, found: Found::default() };
        let mut owner = name.clone();
        for _ in 0..CHAIN_MAX {
            let Some((zone, node)) = self.node(apex, &owner) else {
                // A CNAME out of the zone: the asker goes on elsewhere.
                if asking.found.answers.is_empty() {
                    return Lookup::OutOfZone;
                }
                asking.found.elsewhere = Some(owner);
                return Lookup::Found(asking.found);
            };
            // Only reverse zones are made for the question.
            if matches!(zone, Cow::Owned(_)) && !matches!(node, Node::Address(_)) {
                asking.found.elsewhere = Some(owner.clone());
            }
            match asking.answer(&zone, &owner, node) {
                Some(target) if !asking.has_asked(&target) => owner = target,
                Some(_) | None => break,
            }
        }
        Lookup::Found(asking.found)
    }
}

struct Asking<'a> {
    zone: &'a Zone,
    rtype: RecordType,
    rng: &'a mut Rng,
    max: usize,
    found: Found,
}

// === impl Asking ===

impl Asking<'_> {
    /// Adds what a node has for the question. Returns the target of a CNAME that is to be followed.
    fn answer(&mut self, zone: &Apex, owner: &Name, node: Node) -> Option<Name> {
        let before = self.found.answers.len();
        match node {
            Node::Missing => self.found.nx_domain = true,
            Node::Empty => {}
            Node::External(service) => match service.kind() {
                Kind::External { target: Some(target) } => return self.cname(owner, target),
                Kind::External { target: None } | Kind::ClusterIp { .. } | Kind::Headless => {}
            },
            // RFC 8482 §4.2: one small record instead of everything.
            _ if self.rtype == RecordType::ANY => self.minimal_any(owner),
            Node::Apex => self.apex(zone, owner),
            Node::NameServer => self.name_server(owner),
            Node::Version => self.version(owner),
            Node::Service(service) => self.service(owner, &service),
            Node::Instances(service, label) => self.instances(owner, service.labelled(label.as_bytes())),
            Node::Port(service, protocol, name) => self.port(zone, owner, &service, protocol, &name),
            Node::Address(names) => self.pointers(owner, names),
        }
        if self.found.answers.len() == before {
            let soa = zone.soa(zone.origin().clone(), self.zone.serial(), self.ttl());
            self.found.authorities.push(soa);
        }
        None
    }

    fn cname(&mut self, owner: &Name, target: &Name) -> Option<Name> {
        self.push(owner, RData::CNAME(CNAME(target.clone())));
        (!matches!(self.rtype, RecordType::CNAME | RecordType::ANY)).then(|| target.clone())
    }

    /// Whether a chain of CNAMEs came by this name already.
    fn has_asked(&self, name: &Name) -> bool {
        self.found.answers.iter().any(|record| record.name == *name)
    }

    fn minimal_any(&mut self, owner: &Name) {
        self.push(owner, RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new())));
    }

    fn apex(&mut self, zone: &Apex, owner: &Name) {
        match self.rtype {
            RecordType::SOA => self.found.answers.push(zone.soa(owner.clone(), self.zone.serial(), self.ttl())),
            RecordType::NS => {
                self.found.answers.push(zone.ns(owner.clone(), self.ttl()));
                let addresses = self.zone.settings.name_servers.iter();
                self.add(zone.name_server(), addresses.map(|address| RData::from(*address)).collect());
            }
            _ => {}
        }
    }

    fn name_server(&mut self, owner: &Name) {
        for address in &self.zone.settings.name_servers {
            let data = RData::from(*address);
            if data.record_type() == self.rtype {
                self.push(owner, data);
            }
        }
    }

    /// Kubernetes DNS specification 1.1.0, 2.2.
    fn version(&mut self, owner: &Name) {
        if self.rtype == RecordType::TXT {
            self.push(owner, RData::TXT(TXT::new(vec!["1.1.0".to_owned()])));
        }
    }

    /// Kubernetes DNS specification 1.1.0, 2.3.1 and 2.4.1.
    fn service(&mut self, owner: &Name, service: &Service) {
        match self.rtype {
            RecordType::A => self.some_of(owner, service.v4().iter().map(|address| RData::A(A(*address))).collect()),
            RecordType::AAAA => {
                self.some_of(owner, service.v6().iter().map(|address| RData::AAAA(AAAA(*address))).collect());
            }
            _ => {}
        }
    }

    fn instances(&mut self, owner: &Name, endpoints: &[Arc<Endpoint>]) {
        let data = match self.rtype {
            RecordType::A | RecordType::AAAA => addresses(endpoints),
            _ => return,
        };
        self.some_of(owner, data.into_iter().filter(|data| data.record_type() == self.rtype).collect());
    }

    /// Kubernetes DNS specification 1.1.0, 2.3.2 and 2.4.2.
    fn port(&mut self, zone: &Apex, owner: &Name, service: &Service, protocol: Protocol, name: &str) {
        if self.rtype != RecordType::SRV {
            return;
        }
        let Some(below) = service_name(service, zone) else { return };
        match service.kind() {
            Kind::ClusterIp { ports, .. } => {
                let named = ports.iter().filter(|port| port.protocol == protocol && *port.name == *name);
                // One target: nothing to weigh (RFC 2782, "Weight").
                let records = named.map(|port| RData::SRV(SRV::new(0, 0, port.number, below.clone()))).collect();
                self.some_of(owner, records);
                let v4 = service.v4().iter().map(|address| RData::A(A(*address)));
                let v6 = service.v6().iter().map(|address| RData::AAAA(AAAA(*address)));
                self.add(&below, v4.chain(v6).collect());
            }
            Kind::Headless => self.endpoint_ports(&below, owner, service, protocol, name),
            Kind::External { .. } => {}
        }
    }

    fn endpoint_ports(&mut self, below: &Name, owner: &Name, service: &Service, protocol: Protocol, name: &str) {
        let of = |endpoint: &Endpoint| {
            let port = endpoint.ports.iter().find(|port| port.protocol == protocol && *port.name == *name)?;
            Some(port.number)
        };
        let mut targets: Vec<(&str, u16, u16)> = Vec::new();
        for endpoint in service.instances() {
            if let Some(number) = of(endpoint) {
                targets.push((&endpoint.label, number, endpoint.weight));
            }
        }
        // Endpoints that share a name share its records (RFC 2181 §5); of their weights the largest counts.
        targets.sort_unstable_by_key(|(label, number, weight)| (*label, *number, u16::MAX - weight));
        targets.dedup_by_key(|(label, number, _)| (*label, *number));
        self.rng.choose(&mut targets, self.max);
        let mut named = Vec::new();
        for (label, number, weight) in targets {
            let Some(target) = prepend(&[label], below) else { continue };
            self.push(owner, RData::SRV(SRV::new(0, weight, number, target.clone())));
            named.push((label, target));
        }
        named.sort_unstable_by_key(|(label, _)| *label);
        named.dedup_by_key(|(label, _)| *label);
        for (label, target) in named {
            self.add(&target, addresses(service.labelled(label.as_bytes())));
        }
    }

    fn pointers(&mut self, owner: &Name, names: Vec<Name>) {
        if self.rtype == RecordType::PTR {
            let data = names.into_iter().map(|name| RData::PTR(PTR(name)));
            self.found.answers.extend(data.map(|data| Record::from_rdata(owner.clone(), self.zone.settings.ttl, data)));
        }
    }

    fn some_of(&mut self, owner: &Name, mut set: Vec<RData>) {
        self.rng.choose(&mut set, self.max);
        set.into_iter().for_each(|data| self.push(owner, data));
    }

    fn push(&mut self, owner: &Name, data: RData) {
        let record = Record::from_rdata(owner.clone(), self.ttl(), data);
        self.found.answers.push(record);
    }

    fn add(&mut self, owner: &Name, set: Vec<RData>) {
        let ttl = self.ttl();
        self.found.additionals.extend(set.into_iter().map(|data| Record::from_rdata(owner.clone(), ttl, data)));
    }

    fn ttl(&self) -> u32 {
        self.zone.settings.ttl
    }
}

/// The addresses of endpoints with one name, each once.
fn addresses(endpoints: &[Arc<Endpoint>]) -> Vec<RData> {
    let mut all: Vec<_> = endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter()).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(RData::from).collect()
}

/// `SERVICE.NAMESPACE.svc.DOMAIN`; `None` when that is longer than a name may be.
pub(super) fn service_name(service: &Service, zone: &Apex) -> Option<Name> {
    let (namespace, name) = service.key().split_once('/')?;
    prepend(&[name, namespace, "svc"], zone.origin())
}
