//! Tests: keeps the zone in step with the catalog's stream.

use bytes::Bytes;
use prost::Message;
use rollcall_admin::Readiness;
use rollcall_xds::proto::rollcall::v1 as proto;

use super::*;
use crate::zone::model::Kind;
use crate::zone::{Settings, Zone};

struct Given {
    subscriber: Subscriber,
    zone: Arc<Zone>,
    readiness: Readiness,
}

fn given() -> Given {
    let writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    let (zone, readiness) = (Arc::clone(writer.zone()), Readiness::default());
    let mut subscriber = Subscriber::new(writer, Arc::default(), readiness.gate("catalog"));
    subscriber.clock = || Duration::from_secs(100);
    Given { subscriber, zone, readiness }
}

fn upsert(name: &str, message: &impl Message) -> Upsert {
    Upsert { name: name.into(), version: "v".into(), value: message.encode_to_vec().into() }
}

fn service(namespace: &str, name: &str, kind: proto::service::Kind) -> proto::Service {
    let ports = [("http", 80), ("", 81), ("big", 70_000)];
    let port = |(name, port): (&str, u32)| proto::Port { name: name.into(), protocol: 1, port, ..Default::default() };
    proto::Service {
        namespace: namespace.into(),
        name: name.into(),
        kind: kind.into(),
        cluster_ips: vec![Bytes::from_static(&[10, 96, 0, 1]), Bytes::from_static(&[1, 2, 3])],
        ports: ports.into_iter().map(port).collect(),
        external_name: "api.example.com".into(),
        ..Default::default()
    }
}

fn endpoint(id: u64, address: &'static [u8]) -> proto::Endpoint {
    proto::Endpoint { id, addresses: vec![Bytes::from_static(address)], ready: true, ..Default::default() }
}

// === impl Given ===

impl Given {
    fn update(&mut self, ty: ResourceType, upserts: Vec<Upsert>, removed: &[&str]) -> Result<(), String> {
        let removed = removed.iter().map(|name| Arc::from(*name)).collect();
        self.subscriber.on_event(Event::Update(Update { ty, upserts, removed }))
    }

    fn closed(&self) -> String {
        self.readiness.closed().iter().map(ToString::to_string).collect()
    }
}

#[test]
fn readiness_opens_with_the_zone_and_stays_open_when_the_stream_is_lost() {
    let mut given = given();
    let lost = || Event::Disconnected { reason: "connection refused".into(), retry_in: Duration::from_millis(200) };
    assert!(given.closed().contains("has not been seen yet"), "{}", given.closed());
    given.subscriber.on_event(lost()).unwrap();
    assert!(
        given.closed().contains("no catalog server: connection refused; trying again in 200 ms"),
        "{}",
        given.closed()
    );
    given.subscriber.on_event(Event::Connected { server: "http://a".into() }).unwrap();
    assert!(given.closed().contains("connected to http://a"), "{}", given.closed());
    let zone = proto::Zone { cluster_domain: "cluster.local".into(), ..proto::Zone::default() };
    given.update(ResourceType::Zone, vec![upsert("zone", &zone)], &[]).unwrap();
    assert!(given.readiness.is_ready() && given.zone.is_synced());
    given.subscriber.on_event(lost()).unwrap();
    given.update(ResourceType::Zone, vec![], &["zone"]).unwrap();
    assert!(given.readiness.is_ready() && given.zone.is_synced(), "the last data stays");
}

#[test]
fn every_kind_of_service_is_understood_and_a_bad_part_costs_only_itself() {
    use proto::service::Kind::{ClusterIp, ExternalName, Headless, Registered};
    let mut given = given();
    let of = |name: &str, kind| upsert(&format!("shop/{name}"), &service("shop", name, kind));
    let all = vec![of("c", ClusterIp), of("h", Headless), of("r", Registered), of("e", ExternalName)];
    given.update(ResourceType::Service, all, &[]).unwrap();
    let kind = |name: &str| given.zone.service(&format!("shop/{name}")).map(|record| record.kind().clone());
    match kind("c") {
        Some(Kind::ClusterIp { addresses, ports }) => {
            assert_eq!(*addresses, ["10.96.0.1".parse::<std::net::IpAddr>().unwrap()]);
            assert_eq!(
                ports.iter().map(|port| (&*port.name, port.number)).collect::<Vec<_>>(),
                [("http", 80), ("", 81)]
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((kind("h"), kind("r")), (Some(Kind::Headless), Some(Kind::Headless)));
    assert!(
        matches!(kind("e"), Some(Kind::External { target: Some(target) }) if target.to_ascii() == "api.example.com.")
    );
    given.update(ResourceType::Service, vec![], &["shop/h"]).unwrap();
    assert!(given.zone.service("shop/h").is_none());
}

#[test]
fn a_bad_resource_is_rejected_by_name_and_the_others_are_applied() {
    let mut given = given();
    let good = upsert("shop/web", &service("shop", "web", proto::service::Kind::ClusterIp));
    let broken = Upsert { name: "shop/broken".into(), version: "v".into(), value: Bytes::from_static(&[0xff; 3]) };
    let unknown = upsert("shop/new", &service("shop", "new", proto::service::Kind::Unspecified));
    let other = upsert("shop/a", &service("shop", "b", proto::service::Kind::Headless));
    let label = upsert("shop/A.b", &service("shop", "A.b", proto::service::Kind::Headless));
    let error = given.update(ResourceType::Service, vec![broken, unknown, good, other, label], &[]).unwrap_err();
    assert!(error.starts_with("4 resources refused, the others applied: shop/broken: cannot be decoded"), "{error}");
    assert!(error.contains("shop/new: service kind 0 is not known"), "{error}");
    assert!(given.zone.service("shop/web").is_some() && given.zone.service("shop/a").is_none());
}

#[test]
fn buckets_are_decoded_and_an_endpoint_without_an_address_is_none() {
    let mut given = given();
    let bucket = proto::EndpointBucket {
        namespace: "shop".into(),
        service: "db".into(),
        endpoints: vec![
            proto::Endpoint {
                hostname: "db-0".into(),
                weight: 70_000,
                tags: vec!["canary".into()],
                metadata: [("version", "1.2".to_owned()), ("long", "x".repeat(256))]
                    .map(|(key, value)| proto::KeyValue { key: key.into(), value })
                    .into(),
                ..endpoint(1, &[10, 1, 0, 1])
            },
            endpoint(2, &[1]),
            proto::Endpoint { port_set: 9, ..endpoint(3, &[10, 1, 0, 3]) },
        ],
        ..Default::default()
    };
    let headless = upsert("shop/db", &service("shop", "db", proto::service::Kind::Headless));
    given.update(ResourceType::EndpointBucket, vec![upsert("shop/db/2/1", &bucket)], &[]).unwrap();
    given.update(ResourceType::Service, vec![headless], &[]).unwrap();
    let record = given.zone.service("shop/db").unwrap();
    let told: Vec<_> = record.instances().map(|each| (&*each.label, each.weight)).collect();
    assert_eq!(told, [("10-1-0-3", 1), ("db-0", u16::MAX)]);
    let texts: Vec<_> = record.instances().map(|each| each.texts.join(" ")).collect();
    assert_eq!(texts, ["", "tag=canary version=1.2"]);
    given.update(ResourceType::EndpointBucket, vec![], &["shop/db/2/1"]).unwrap();
    assert!(!given.zone.service("shop/db").unwrap().exists());
    let error = given.update(ResourceType::EndpointBucket, vec![upsert("shop/db/x", &bucket)], &[]).unwrap_err();
    assert!(error.contains("NAMESPACE/NAME/COUNT/INDEX"), "{error}");
}

#[test]
fn a_type_that_was_not_asked_for_is_rejected() {
    assert!(given().update(ResourceType::Cluster, vec![], &[]).unwrap_err().contains("not subscribed"));
}

#[test]
fn where_the_catalog_servers_are_is_told_from_their_own_service() {
    let mut given = given();
    let (whereabouts, found) = Whereabouts::new("sys/ctl", &["https://10.96.0.1:18000".to_owned()]).unwrap();
    given.subscriber = given.subscriber.telling(Some(whereabouts));
    let port = |name: &str, port: u32| proto::Port { name: name.into(), protocol: 1, port, ..Default::default() };
    let service = |address: &'static [u8]| proto::Service {
        cluster_ips: vec![Bytes::from_static(address)],
        ports: vec![port("http", 80), port("grpc", 18000)],
        ..service("sys", "ctl", proto::service::Kind::ClusterIp)
    };
    let bucket = proto::EndpointBucket {
        namespace: "sys".into(),
        service: "ctl".into(),
        endpoints: vec![endpoint(1, &[10, 1, 0, 1]), proto::Endpoint { ready: false, ..endpoint(2, &[10, 1, 0, 2]) }],
        port_sets: vec![proto::PortSet { ports: vec![port("http", 8080), port("grpc", 18001)] }],
    };
    given.update(ResourceType::EndpointBucket, vec![upsert("sys/ctl/1/0", &bucket)], &[]).unwrap();
    given.update(ResourceType::Service, vec![upsert("sys/ctl", &service(&[10, 96, 0, 1]))], &[]).unwrap();
    assert_eq!(*found.borrow(), ["https://10.96.0.1:18000", "https://10.1.0.1:18001"]);
    // The Service ends: its pods are where they were. It is made anew, with another address.
    given.update(ResourceType::Service, vec![], &["sys/ctl"]).unwrap();
    given.update(ResourceType::EndpointBucket, vec![], &["sys/ctl/1/0"]).unwrap();
    assert_eq!(*found.borrow(), ["https://10.96.0.1:18000", "https://10.1.0.1:18001"]);
    given.update(ResourceType::EndpointBucket, vec![upsert("sys/ctl/1/0", &bucket)], &[]).unwrap();
    given.update(ResourceType::Service, vec![upsert("sys/ctl", &service(&[10, 96, 0, 9]))], &[]).unwrap();
    assert_eq!(*found.borrow(), ["https://10.96.0.9:18000", "https://10.1.0.1:18001"]);
    // Others of a name that begins alike do not matter.
    assert!(!given.subscriber.whereabouts.unwrap().concerns("sys/ctl-admin"));
}
