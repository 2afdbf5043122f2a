//! The specification at the wire: bytes in, hickory's parser out.

mod cases;
mod clusterset;
mod completion;
mod compliance;
mod consul;
mod coredns;
mod edns;
mod exposed;
mod fast;
mod forwarded;
mod hostile;
mod hosts;
mod large;
mod pods;
mod registry;
mod specification;
mod stale;
mod suspect;
mod table;
mod transfer;
mod wire;
mod zones;

use std::sync::Arc;

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::{Outcome, Outside, Transport, answer};
use crate::zone::label::endpoint_label;
use crate::zone::model::{Addresses, Endpoint, Exposed, Kind, Place, Port, Ports, Protocol, Service};
use crate::zone::reading::pods::PodNames;
use crate::zone::writer::{BucketName, Change};
use crate::zone::{Rng, Settings, Zone, ZoneWriter};

/// A zone with something of each kind.
fn zone() -> Arc<Zone> {
    zone_with(PodNames::Off)
}

fn zone_with(pod_names: PodNames) -> Arc<Zone> {
    let mut writer = ZoneWriter::new(Settings {
        ttl: 5,
        name_servers: vec!["10.96.0.10".parse().unwrap()],
        pod_names,
        ..Settings::default()
    });
    let web = cluster_ip(&["10.96.0.1", "fd00:96::1"], &[("http", 80), ("metrics", 9090)]);
    let changes = [
        service("shop/web", web),
        bucket("shop/web", 1, 0, vec![endpoint(1, "", "10.1.0.1", &[("http", 8080)])]),
        service("shop/db", headless()),
        bucket(
            "shop/db",
            1,
            0,
            vec![
                weighted(10, endpoint(1, "db-0", "10.1.0.2", &[("pg", 5432)])),
                weighted(20, endpoint(2, "", "10.1.0.3", &[("pg", 5433)])),
                endpoint(3, "", "fd00::3", &[("pg", 5434)]),
                endpoint(4, "no.label", "10.1.0.5", &[]),
                not_ready(endpoint(5, "db-5", "10.1.0.6", &[("admin", 1)])),
            ],
        ),
        service("shop/early", Service { publish_not_ready: true, ..headless() }),
        bucket("shop/early", 1, 0, vec![not_ready(endpoint(6, "e-0", "10.1.0.7", &[]))]),
        service("shop/empty", headless()),
        bucket("shop/empty", 1, 0, vec![not_ready(endpoint(7, "x", "10.1.0.8", &[("pg", 1)]))]),
        service("shop/away", external("api.example.com")),
        service("shop/inside", external("db.shop.svc.cluster.local")),
        service("shop/dangling", external("nobody.shop.svc.cluster.local")),
        service("shop/loop", external("loop.shop.svc.cluster.local")),
    ];
    writer.apply(changes, 1_700_000_000);
    writer.sync("cluster.local", 1_700_000_000).unwrap();
    Arc::clone(writer.zone())
}

fn service(key: &str, service: Service) -> Change {
    Change::Service(key.into(), service)
}

fn bucket(key: &str, count: u32, index: u32, endpoints: Vec<Endpoint>) -> Change {
    let name = BucketName { service: key.into(), part: (count, index) };
    Change::Bucket(name, endpoints.into_iter().map(Arc::new).collect())
}

fn headless() -> Service {
    Service { kind: Kind::Headless, publish_not_ready: false, staleness: None, exposed: None }
}

fn cluster_ip(addresses: &[&str], named: &[(&str, u16)]) -> Service {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Service {
        kind: Kind::ClusterIp { addresses, ports: ports(named) },
        publish_not_ready: false,
        staleness: None,
        exposed: None,
    }
}

fn external(target: &str) -> Service {
    let mut target = Name::from_ascii(target).unwrap();
    target.set_fqdn(true);
    Service { kind: Kind::External { target: Some(target) }, publish_not_ready: false, staleness: None, exposed: None }
}

/// The same service, reached from outside under these addresses and names.
fn exposed(addresses: &[&str], names: &[&str], service: Service) -> Service {
    let ports = match &service.kind {
        Kind::ClusterIp { ports, .. } => Arc::clone(ports),
        Kind::Headless | Kind::External { .. } => ports(&[("http", 80)]),
    };
    let fqdn = |name: &&str| Name::from_ascii(format!("{name}.")).unwrap();
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let exposed = Exposed { addresses, names: names.iter().map(fqdn).collect(), ports };
    Service { exposed: Some(Arc::new(exposed)), ..service }
}

fn ports(named: &[(&str, u16)]) -> Ports {
    named.iter().map(|(name, number)| Port { name: (*name).into(), protocol: Protocol::Tcp, number: *number }).collect()
}

fn endpoint(id: u64, hostname: &str, address: &str, named: &[(&str, u16)]) -> Endpoint {
    let addresses = Addresses::first_of_each([address.parse().unwrap()]).unwrap();
    let (label, has_hostname) = endpoint_label(hostname, addresses);
    let (ports, texts, place) = (ports(named), Arc::default(), Arc::default());
    let (warns, suspect) = (false, false);
    Endpoint { id, addresses, weight: 1, ready: true, label, has_hostname, ports, texts, place, warns, suspect }
}

fn not_ready(endpoint: Endpoint) -> Endpoint {
    Endpoint { ready: false, ..endpoint }
}

fn in_zone(zone: &str, endpoint: Endpoint) -> Endpoint {
    Endpoint { place: Arc::new(Place { zone: zone.into(), ..crate::zone::model::Place::default() }), ..endpoint }
}

fn weighted(weight: u16, endpoint: Endpoint) -> Endpoint {
    Endpoint { weight, ..endpoint }
}

fn query(name: &str, rtype: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.id = 4711;
    message.metadata.op_code = OpCode::Query;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    message
}

/// Asks the zone; the answer's length is checked against the limit of its transport.
fn ask(zone: &Zone, query: &Message, transport: Transport) -> Message {
    ask_bytes(zone, &query.to_vec().unwrap(), transport).expect("an answer")
}

fn ask_bytes(zone: &Zone, query: &[u8], transport: Transport) -> Option<Message> {
    let mut out = vec![0xff; 7]; // left over from the query before
    match answer(query, &transport.into(), zone, &Outside::Refused.into(), &mut Rng::with_seed(1), &mut out) {
        Outcome::Answered(_) => {}
        Outcome::Kept => panic!("nothing is kept"),
        Outcome::Foreign(foreign) => panic!("not to be forwarded: {foreign:?}"),
        Outcome::Transfer(_) => panic!("not to be transferred"),
        Outcome::Ignored => return None,
    }
    Some(Message::from_vec(&out).unwrap_or_else(|error| panic!("unreadable answer {out:02x?}: {error}")))
}

/// What is told of a name with these addresses, and nothing beside them.
fn leads_to(name: &str, addresses: &[&str]) -> Vec<String> {
    let records = addresses.iter().map(|address| format!("an {name} A {address}"));
    std::iter::once("NOERROR".to_owned()).chain(records).collect()
}

/// The answer over UDP as sorted lines: `RCODE`, then `section owner type data`.
fn told(zone: &Zone, name: &str, rtype: RecordType) -> Vec<String> {
    let message = ask(zone, &query(name, rtype), Transport::Udp);
    let line = |section: &str, record: &hickory_proto::rr::Record| {
        // But for the version across clusters, which the specification says itself.
        let ttl = if record.name.to_utf8().starts_with("dns-version.clusterset.") { 28_800 } else { 5 };
        assert_eq!(record.ttl, ttl, "{record}");
        format!("{section} {} {} {}", record.name, record.record_type(), record.data)
    };
    let mut lines: Vec<_> = message.answers.iter().map(|record| line("an", record)).collect();
    lines.extend(message.authorities.iter().map(|record| format!("ns {} {}", record.name, record.record_type())));
    lines.extend(message.additionals.iter().map(|record| line("ad", record)));
    lines.sort();
    let code = match message.metadata.response_code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::ServFail => "SERVFAIL",
        other => panic!("{other}"),
    };
    assert_eq!(message.metadata.authoritative, matches!(code, "NOERROR" | "NXDOMAIN"), "AA of {name} {rtype}");
    assert!(!message.metadata.truncation, "{name} {rtype} is truncated");
    lines.insert(0, code.to_owned());
    lines
}
