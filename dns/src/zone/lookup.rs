//! A question in, records out.

mod across;
mod exposed;
mod machine;
mod tagged;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, HINFO, PTR, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::apex::{Apex, prepend};
use super::apexes::Apexes;
use super::holders::{Holders, Role};
use super::model::{Endpoint, Kind, WhenStale};
use super::node::Node;
use super::reading::Reading;
use super::record::{Places, Record as Service};
use super::{Rng, Zone};
use wanted::Wanted;

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
    /// Some of it is of a service that is too old, by its policy.
    pub stale: Option<WhenStale>,
    /// What another server may know more about.
    pub elsewhere: Option<Elsewhere>,
}

/// A name that another server may know more about: the target of the last CNAME, outside of the zones here, or a reverse
/// name that the catalog does not know.
#[derive(Debug, PartialEq)]
pub struct Elsewhere {
    /// To be asked for.
    pub name: Name,
    /// So many of the answers, all CNAMEs, led there. The others are in its place.
    pub chain: usize,
}

/// CNAMEs followed within the own zone. Deeper chains, and loops, end there: the asker sees the chain so far.
const CHAIN_MAX: usize = 8;

// === impl Zone ===

impl Zone {
    /// Looks a question up. Sets of addresses and SRV records come in random order, at most `max` of them: more than
    /// fit into the answer are not worth making.
    pub fn lookup(&self, name: &Name, rtype: RecordType, rng: &mut Rng, max: usize) -> Lookup {
        let apexes = self.apexes.load();
        let Some(apexes) = apexes.as_deref() else { return Lookup::NotReady };
        let found = Found { stale: self.is_restored().then_some(WhenStale::Serve), ..Found::default() };
        let mut asking = Asking { zone: self, apexes, rtype, rng, max, found };
        let mut owner = name.clone();
        for _ in 0..CHAIN_MAX {
            let chain = asking.found.answers.len();
            let Some((apex, node)) = self.node(apexes, &owner) else {
                // A CNAME out of the zone: the asker goes on elsewhere.
                if chain == 0 {
                    return Lookup::OutOfZone;
                }
                asking.found.elsewhere = Some(Elsewhere { name: owner, chain });
                return Lookup::Found(asking.found);
            };
            if apex.reading().is_shared() && !matches!(node, Node::Address(..)) {
                asking.found.elsewhere = Some(Elsewhere { name: owner.clone(), chain });
            }
            match asking.answer(apex, &owner, node) {
                Some(target) if !asking.has_asked(&target) => owner = target,
                Some(_) | None => break,
            }
        }
        Lookup::Found(asking.found)
    }
}

struct Asking<'a> {
    zone: &'a Zone,
    apexes: &'a Apexes,
    rtype: RecordType,
    rng: &'a mut Rng,
    max: usize,
    found: Found,
}

// === impl Asking ===

impl Asking<'_> {
    /// Adds what a node has for the question. Returns the target of a CNAME that is to be followed.
    fn answer(&mut self, apex: &Apex, owner: &Name, node: Node) -> Option<Name> {
        let before = self.found.answers.len();
        if let Node::Service(service)
        | Node::External(service)
        | Node::Instances(service, _)
        | Node::Tagged(service, _)
        | Node::Exposed(service, _)
        | Node::Port(service, ..) = &node
        {
            self.found.stale = self.found.stale.max(self.zone.stale(service));
        }
        match node {
            Node::Stale => {
                self.found.stale = Some(WhenStale::Refuse);
                return None;
            }
            Node::Missing => self.found.nx_domain = true,
            Node::Empty => {}
            Node::External(service) => match service.kind() {
                Kind::External { target: Some(target) } => return self.cname(owner, target),
                Kind::External { target: None } | Kind::ClusterIp { .. } | Kind::Headless => {}
            },
            // RFC 8482 §4.2: one small record instead of everything.
            _ if self.rtype == RecordType::ANY => self.minimal_any(owner),
            Node::Apex => self.apex(apex, owner),
            Node::NameServer => self.some_of(owner, self.of_type(&self.zone.name_servers(apex.reading()))),
            Node::Version => self.version(apex, owner),
            Node::Service(service) => match service.first() {
                Some(places) => self.tagged(apex, owner, &service, places),
                None => self.service(apex, owner, &service),
            },
            Node::Instances(service, places) => self.instances(apex, owner, &service, &places),
            Node::Exposed(service, port) => {
                if let Some(target) = self.exposed(apex, owner, &service, port) {
                    return Some(target);
                }
            }
            Node::Port(service, place) => self.ports(apex, owner, &service, Wanted::at(&service, place)),
            Node::Tagged(service, places) => self.tagged(apex, owner, &service, &places),
            Node::Machine(machine) => self.machine(owner, &machine),
            Node::Pod(address) => self.some_of(owner, self.of_type(&[address])),
            Node::Address(address, holders) => self.pointers(owner, address, &holders),
        }
        if self.found.answers.len() == before {
            let soa = apex.soa(apex.origin().clone(), self.zone.serial(), self.ttl());
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

    fn apex(&mut self, apex: &Apex, owner: &Name) {
        match self.rtype {
            RecordType::SOA => self.found.answers.push(apex.soa(owner.clone(), self.zone.serial(), self.ttl())),
            RecordType::NS => {
                self.found.answers.push(apex.ns(owner.clone(), self.ttl()));
                self.add(apex.name_server(), &self.zone.name_servers(apex.reading()));
            }
            _ => {}
        }
    }

    /// Kubernetes DNS specification 1.1.0, 2.3.1 and 2.4.1. Ports are beyond it: tools of StatefulSets ask the service's own
    /// name for them, and CoreDNS answers.
    fn service(&mut self, apex: &Apex, owner: &Name, service: &Service) {
        match self.rtype {
            RecordType::A => {
                let some = self.rng.places(service.v4_len(), self.max).into_iter().filter_map(|at| service.v4_at(at));
                some.for_each(|address| self.push(owner, RData::A(A(address))));
            }
            RecordType::AAAA => {
                let some = self.rng.places(service.v6_len(), self.max).into_iter().filter_map(|at| service.v6_at(at));
                some.for_each(|address| self.push(owner, RData::AAAA(AAAA(address))));
            }
            RecordType::SRV => self.ports(apex, owner, service, Wanted::All),
            RecordType::TXT if apex.reading() == Reading::Registry => {
                let some = self.rng.places(service.len(), self.looks()).into_iter();
                let some = some.filter_map(|at| service.instance(at));
                self.texts(owner, some);
            }
            _ => {}
        }
    }

    fn instances(&mut self, apex: &Apex, owner: &Name, service: &Service, places: &Places) {
        let endpoint = |at: usize| service.instance(places.get(at)?);
        match self.rtype {
            RecordType::A | RecordType::AAAA => {
                let addresses = self.addresses((places.len(), endpoint));
                self.some_of(owner, self.of_type(&addresses));
            }
            RecordType::TXT => {
                let some = self.rng.places(places.len(), self.looks()).into_iter().filter_map(endpoint);
                self.texts(owner, some);
            }
            RecordType::SRV => {
                if let Some(below) = self.below(apex, owner, service) {
                    self.targets(&below, owner, service, (places.len(), endpoint), Wanted::All);
                }
            }
            _ => {}
        }
    }

    /// What owners say about endpoints: a record each.
    fn texts<'b>(&mut self, owner: &Name, endpoints: impl Iterator<Item = &'b Arc<Endpoint>>) {
        let mut texts: Vec<_> = endpoints.map(|endpoint| &endpoint.texts).collect();
        texts.sort_unstable();
        texts.dedup();
        let said = texts.into_iter().filter(|texts| !texts.is_empty());
        let records =
            said.map(|texts| RData::TXT(TXT::new(texts.iter().map(|text| text.to_string()).collect()))).collect();
        self.some_of(owner, records);
    }

    /// Kubernetes DNS specification 1.1.0, 2.3.2 and 2.4.2.
    fn ports(&mut self, apex: &Apex, owner: &Name, service: &Service, wanted: Wanted<'_>) {
        if self.rtype != RecordType::SRV {
            return;
        }
        let Some(below) = self.below(apex, owner, service) else { return };
        match service.kind() {
            Kind::ClusterIp { addresses, ports } => {
                let wanted = ports.iter().filter(|port| wanted.includes(port));
                // One target: nothing to weigh (RFC 2782, "Weight").
                // Two ports of one number are one record (RFC 2181 §5).
                let numbers: BTreeSet<u16> = wanted.map(|port| port.number).collect();
                let records = numbers.into_iter().map(|number| RData::SRV(SRV::new(0, 0, number, below.clone())));
                let records: Vec<_> = records.collect();
                if !records.is_empty() {
                    self.add(&below, addresses);
                }
                self.some_of(owner, records);
            }
            Kind::Headless => match wanted {
                Wanted::Named(port, ..) => {
                    let those = (service.count_with(port), |at| service.with(port, at));
                    self.targets(&below, owner, service, those, wanted);
                }
                Wanted::All => {
                    self.targets(&below, owner, service, (service.len(), |at| service.instance(at)), wanted);
                }
            },
            Kind::External { .. } => {}
        }
    }

    /// The ports of endpoints, of which there are so many, each at the endpoint's own name.
    fn targets<'b>(
        &mut self,
        below: &Name,
        owner: &Name,
        service: &Service,
        (count, endpoint): (usize, impl Fn(usize) -> Option<&'b Arc<Endpoint>>),
        wanted: Wanted<'_>,
    ) {
        // Endpoints that share a name share its records (RFC 2181 §5); of their weights the largest counts.
        let mut targets = BTreeMap::<(&str, u16), (bool, u16)>::new();
        for endpoint in self.rng.places(count, self.looks()).into_iter().filter_map(endpoint) {
            if targets.len() >= self.max {
                break;
            }
            for port in endpoint.ports.iter().filter(|port| wanted.includes(port)) {
                let (last, weight) = targets.entry((&endpoint.label, port.number)).or_insert((true, 0));
                (*last, *weight) = (*last && endpoint.suspect, endpoint.weight.max(*weight));
            }
        }
        let mut targets: Vec<_> = targets.into_iter().collect();
        self.rng.choose(&mut targets, self.max);
        let mut named = BTreeMap::<&str, Name>::new();
        for ((label, number), (last, weight)) in targets {
            let known = named.get(label).cloned();
            let Some(target) = known.or_else(|| prepend(&label.split('.').collect::<Vec<_>>(), below)) else {
                continue;
            };
            self.push(owner, RData::SRV(SRV::new(u16::from(last), weight, number, target.clone())));
            named.insert(label, target);
        }
        for (label, target) in named {
            // More than fit are not worth making.
            if self.found.additionals.len() >= self.max {
                break;
            }
            let places = service.places_labelled(label.as_bytes());
            let addresses = self.addresses((places.len(), |at| service.instance(places.get(at)?)));
            self.add(&target, &addresses);
        }
    }

    fn pointers(&mut self, owner: &Name, address: IpAddr, holders: &Holders) {
        if self.rtype != RecordType::PTR {
            return;
        }
        let holders = holders.told();
        let virtual_ = holders.partition_point(|(role, _)| *role == Role::Virtual);
        let exposed = holders.partition_point(|(role, _)| *role < Role::Exposed);
        let names = match self.service_names(&holders[..virtual_]) {
            names if names.is_empty() => self.endpoint_names(address, &holders[virtual_..exposed]),
            names => names,
        };
        let names = if names.is_empty() { self.exposed_names(&holders[exposed..]) } else { names };
        names.into_iter().for_each(|name| self.push(owner, RData::PTR(PTR(name))));
    }

    /// The names of services whose virtual address it is.
    fn service_names(&mut self, holders: &[(Role, Arc<str>)]) -> Vec<Name> {
        let some = self.rng.choose_from(holders, self.max);
        let services = some.iter().filter_map(|(_, key)| self.zone.services.get(key));
        services.filter_map(|service| self.apexes.service_name(self.apexes.primary(), &service)).collect()
    }

    /// Kubernetes DNS specification 1.1.0, 2.4.3.
    fn endpoint_names(&mut self, address: IpAddr, holders: &[(Role, Arc<str>)]) -> Vec<Name> {
        let mut names = Vec::new();
        for (_, key) in self.rng.choose_from(holders, self.max) {
            let Some(service) = self.zone.services.get(&key) else { continue };
            let Some(below) = self.apexes.service_name(self.apexes.primary(), &service) else { continue };
            let endpoints = self.rng.choose_from(&service.at(address), self.max.saturating_sub(names.len()));
            names.extend(endpoints.into_iter().filter_map(|endpoint| prepend(&[&endpoint.label], &below)));
        }
        names
    }

    /// The addresses of endpoints, of which there are so many, each once.
    fn addresses<'b>(
        &mut self,
        (count, endpoint): (usize, impl Fn(usize) -> Option<&'b Arc<Endpoint>>),
    ) -> Vec<IpAddr> {
        let some = self.rng.places(count, self.looks()).into_iter().filter_map(endpoint);
        let mut all: Vec<_> = some.flat_map(|endpoint| endpoint.addresses.iter()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// How many endpoints are looked at for as many records as are wanted: several may share one.
    fn looks(&self) -> usize {
        self.max.saturating_mul(4)
    }

    /// The addresses of the family that is asked for.
    fn of_type(&self, addresses: &[IpAddr]) -> Vec<RData> {
        let all = addresses.iter().map(|address| RData::from(*address));
        all.filter(|data| data.record_type() == self.rtype).collect()
    }

    fn some_of(&mut self, owner: &Name, mut set: Vec<RData>) {
        self.rng.choose(&mut set, self.max);
        set.into_iter().for_each(|data| self.push(owner, data));
    }

    fn push(&mut self, owner: &Name, data: RData) {
        let record = Record::from_rdata(owner.clone(), self.ttl(), data);
        self.found.answers.push(record);
    }

    fn add(&mut self, owner: &Name, addresses: &[IpAddr]) {
        let ttl = self.ttl();
        let records = addresses.iter().map(|address| Record::from_rdata(owner.clone(), ttl, RData::from(*address)));
        self.found.additionals.extend(records);
    }

    fn ttl(&self) -> u32 {
        self.zone.settings.ttl
    }
}
