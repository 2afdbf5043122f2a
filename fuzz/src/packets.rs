//! Packets as strangers may send them, to the DNS server and as answers of the servers that it asks; and what must hold whatever they
//! are: nothing panics, what is sent can be read, is as long as it may be, and is about what was asked.
//!
//! The fuzz targets play them, and the tests of `rollcall-dns` the corpus.

use std::sync::{Arc, LazyLock};

use hickory_proto::op::Message;
use hickory_proto::rr::Name;
use rollcall_dns::answer::{Asker, Foreign, Manner, Outcome, Outside, Transport, answer};
use rollcall_dns::forward::answer::Age;
use rollcall_dns::forward::message::{Asked, Ids, Verdict};
use rollcall_dns::zone::label::endpoint_label;
use rollcall_dns::zone::machines::Machine;
use rollcall_dns::zone::model::{Addresses, Endpoint, Kind, Port, Ports, Protocol, Service};
use rollcall_dns::zone::writer::{BucketName, Change};
use rollcall_dns::zone::{Registry, Rng, Settings, Zone, ZoneWriter};

const HEADER_BYTES: usize = 12;
const TRANSPORTS: [Transport; 2] = [Transport::Udp, Transport::Tcp];
/// Largest answer over UDP.
const UDP_BYTES_MAX: usize = 1232;

static ZONE: LazyLock<Arc<Zone>> = LazyLock::new(|| {
    let domains = Name::from_ascii("consul.").into_iter().collect();
    let registry = Registry { domains, namespace: "shop".into(), datacenter: "east".into(), only_passing: false };
    let mut writer = ZoneWriter::new(Settings { ttl: 5, registry, ..Settings::default() });
    let ports: Ports = Arc::from([Port { name: "http".into(), protocol: Protocol::Tcp, number: 80 }]);
    let service = |key: &str, kind| {
        Change::Service(key.into(), Service { kind, publish_not_ready: false, staleness: None, exposed: None })
    };
    let addresses = ["10.96.0.1", "fd00:96::1"].map(|address| address.parse().expect("an address"));
    let endpoints = (0..40_u8).map(|n| Arc::new(endpoint(n, &ports))).collect();
    let target = Name::from_ascii("api.example.com.").ok();
    writer.apply(
        [
            service("shop/web", Kind::ClusterIp { addresses: addresses.into(), ports: Arc::clone(&ports) }),
            service("shop/db", Kind::Headless),
            Change::Bucket(BucketName { service: "shop/db".into(), part: (1, 0) }, endpoints),
            service("shop/away", Kind::External { target }),
        ],
        7,
    );
    let machine = Machine::new([[192, 0, 2, 1].into()], "a", Arc::default());
    writer.apply_machines(vec![("node-a.internal".into(), Some(Arc::new(machine)))], 7);
    writer.sync("cluster.local", 7).expect("a domain");
    Arc::clone(writer.zone())
});

fn endpoint(n: u8, ports: &Ports) -> Endpoint {
    let addresses = Addresses::first_of_each([[10, 1, 0, n].into()]).expect("an address");
    let (label, has_hostname) = endpoint_label(if n.is_multiple_of(2) { "" } else { "db-0" }, addresses);
    Endpoint {
        id: n.into(),
        addresses,
        weight: n.into(),
        ready: !n.is_multiple_of(5),
        label,
        has_hostname,
        ports: Arc::clone(ports),
        texts: Arc::default(),
        place: Arc::default(),
        warns: false,
        suspect: false,
    }
}

/// To the server, with and without others to ask.
pub(crate) fn query(data: &[u8]) {
    for (transport, outside) in TRANSPORTS.into_iter().flat_map(|t| [(t, Outside::Refused), (t, Outside::Forwarded)]) {
        let (asker, manner) = (Asker::from(transport), Manner::from(outside));
        let mut out = vec![0xff; 3];
        match answer(data, &asker, &ZONE, &manner, &mut Rng::with_seed(1), &mut out) {
            Outcome::Answered(_) => check(data, transport, &out),
            // No answer to an answer, or two servers would talk for ever.
            Outcome::Ignored => assert!(data.len() < HEADER_BYTES || data[2] & 0x80 != 0, "a query is ignored"),
            Outcome::Kept => panic!("nothing is kept"),
            Outcome::Foreign(_) => assert_eq!(outside, Outside::Forwarded),
            Outcome::Transfer(_) => panic!("nobody may have the zone"),
        }
    }
}

fn check(query: &[u8], transport: Transport, out: &[u8]) {
    assert!(out.len() >= HEADER_BYTES && out[2] & 0x80 != 0 && out[..2] == query[..2], "{out:02x?}");
    assert!(transport == Transport::Tcp || out.len() <= UDP_BYTES_MAX, "{} bytes over UDP", out.len());
    Message::from_vec(out).unwrap_or_else(|error| panic!("{error}: {out:02x?}"));
}

/// From a server that was asked: behind the id and the question, which are made to fit.
pub(crate) fn upstream(data: &[u8]) {
    let mut question = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01\x03www\x07example\x03com\0\0\x01\0\x01".to_vec();
    question.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
    let (asker, manner) = (Asker::from(Transport::Udp), Manner::from(Outside::Forwarded));
    let Outcome::Foreign(foreign) = answer(&question, &asker, &ZONE, &manner, &mut Rng::with_seed(1), &mut Vec::new())
    else {
        panic!("a name of others")
    };
    let asked = Asked::new(&Ids::default(), &foreign.query, &foreign.name);
    let end = HEADER_BYTES + foreign.name.len() + 1 + 4;
    let mut bytes = asked.wire()[..end].to_vec();
    let (head, rest) = data.split_at(data.len().min(8));
    // Flags and counts, but for that of questions.
    for (at, byte) in [2, 3, 6, 7, 8, 9, 10, 11].into_iter().zip(head) {
        bytes[at] = *byte;
    }
    bytes[2] |= 0x80;
    bytes.extend(rest);
    match asked.judge(bytes) {
        Verdict::Answer(answer) => {
            drop(answer.decode());
            answer.lifetime();
            let foreign: &Foreign = &foreign;
            for (transport, age) in
                TRANSPORTS.into_iter().flat_map(|t| [(t, Age::New), (t, Age::Kept(9)), (t, Age::Stale)])
            {
                let mut out = Vec::new();
                if answer.pass_on(foreign, transport, age, &mut out).is_ok() {
                    assert!(out.len() >= end && out[..2] == question[..2], "{out:02x?}");
                    assert!(transport == Transport::Tcp || out.len() <= UDP_BYTES_MAX, "{} bytes", out.len());
                }
            }
        }
        Verdict::Stranger | Verdict::Doubtful | Verdict::NoEdns | Verdict::Malformed => {}
    }
}
