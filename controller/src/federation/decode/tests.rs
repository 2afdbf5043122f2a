//! What is exported is imported as it was; what is not fit to be is refused.

use std::sync::Arc;

use prost::Message;
use rollcall_catalog::input::Input;
use rollcall_xds::resource::{Resource, ResourceType};

use super::*;
use crate::federation::exports::Tags;
use crate::testing::{cluster_ip, merged, registered, vm};

fn resources() -> Vec<(ResourceType, Resource)> {
    let vms = (0..200).map(|at| vm(&format!("vm-{at}"), &format!("198.51.100.{at}"))).collect();
    encode::service(&merged([cluster_ip("payments"), registered("payments", vms)]), 7, &Tags::default())
        .expect("it can be exported")
}

#[test]
fn what_is_exported_is_read_as_it_was() {
    let mut decoder = Decoder::default();
    let mut endpoints = Vec::new();
    let mut services = Vec::new();
    for (ty, resource) in resources() {
        match ty {
            ResourceType::ExportedBucket => {
                let (key, cut, told) = decoder.bucket(&resource.name, &resource.body()).expect("a bucket");
                assert_eq!((&*key.to_string(), cut.0), ("shop/payments", 4));
                endpoints.extend(told);
            }
            _ => services.push(decoder.service(&resource.name, &resource.body()).expect("a service")),
        }
    }
    let [(key, service)] = &services[..] else { panic!("{services:?}") };
    assert_eq!((&*key.to_string(), service.created, service.ports[0].number), ("shop/payments", 7, 80));
    assert_eq!(endpoints.len(), 200);
    let (_, one) = endpoints.iter().find(|(_, endpoint)| &*endpoint.name() == "198.51.100.7").expect("it is there");
    assert_eq!((one.zone.as_deref(), one.weight, one.conditions), (Some("zone-a"), 1, Conditions::READY));
    assert_eq!(one.ports[0].number, 8080);
    assert_eq!(
        one.health_source,
        HealthSource::Imported { health: Health::Passing, suspect_since_ms: None, own: false }
    );
}

#[test]
fn what_was_imported_is_not_exported() {
    let mut decoder = Decoder::default();
    let buckets = resources().into_iter().filter(|(ty, _)| *ty == ResourceType::ExportedBucket);
    let mut read = buckets.map(|(_, resource)| decoder.bucket(&resource.name, &resource.body()).expect("a bucket").2);
    let told = read.next().expect("a bucket");
    let imported = rollcall_catalog::input::Contribution {
        endpoints: told.iter().map(|(_, endpoint)| Arc::clone(endpoint)).collect(),
        ..rollcall_catalog::input::Contribution::new(
            super::super::link::origin(&"west".into(), &crate::testing::service_key("payments")),
            crate::testing::service_key("payments"),
        )
    };
    let merged = merged([cluster_ip("payments"), Input::Contribution(imported.clone())]);
    assert_eq!(merged.endpoints.len(), imported.endpoints.len());
    let said = encode::service(&merged, 7, &Tags::default()).expect("the Service is its own");
    assert_eq!(said.len(), 1, "no bucket: {said:?}");
    let only = crate::testing::merged([Input::Contribution(imported)]);
    assert!(only.exists());
    assert_eq!(encode::service(&only, 7, &Tags::default()), Err(encode::Unexportable::NoService));
}

fn refused(name: &str, change: impl FnOnce(&mut v1::ExportedBucket)) -> String {
    let endpoint = v1::ExportedEndpoint { id: 1, addresses: vec![vec![10, 1, 0, 4].into()], ..Default::default() };
    let mut message = v1::ExportedBucket {
        namespace: "shop".into(),
        service: "payments".into(),
        endpoints: vec![endpoint],
        port_sets: vec![v1::PortSet::default()],
    };
    change(&mut message);
    Decoder::default().bucket(name, &message.encode_to_vec()).expect_err("refused")
}

#[test]
fn a_lie_is_refused_in_words() {
    let name = "shop/payments/1/0";
    assert!(Decoder::default().bucket(name, b"\xff\xff").is_err());
    for wrong in ["shop/payments/1/1", "shop/payments", "shop/other/1/0", "Shop/payments/1/0", "a/b/c/1/0", ""] {
        assert!(refused(wrong, |_| {}).contains("named by what is no name"), "{wrong}");
    }
    let of = |change: fn(&mut v1::ExportedEndpoint)| refused(name, |bucket| change(&mut bucket.endpoints[0]));
    assert!(of(|one| one.addresses = vec![vec![1, 2, 3].into()]).contains("no addresses"));
    assert!(of(|one| one.addresses.clear()).contains("no addresses"));
    assert!(of(|one| one.port_set = 9).contains("ports that are not there"));
    assert!(of(|one| one.hostname = "a.b".into()).contains("a host name that is none"));
    assert!(of(|one| one.zone = "z".repeat(600)).contains("more to say"));
    assert!(of(|one| one.region = "r".repeat(600)).contains("more to say"));
    assert!(of(|one| one.tags = vec!["t".into(); 17]).contains("more to say"));
    let zero = v1::Port { protocol: v1::Protocol::Tcp.into(), ..Default::default() };
    assert!(refused(name, |bucket| bucket.port_sets[0].ports = vec![zero]).contains("a port that is none"));
    let many = |bucket: &mut v1::ExportedBucket| bucket.endpoints = vec![bucket.endpoints[0].clone(); BUCKET_MAX + 1];
    assert!(refused(name, many).contains("more than 4096"));
}

#[test]
fn what_is_named_as_what_is_made_of_exports_is_not_taken_in() {
    let name = rollcall_catalog::clusterset::derived_name("shop", "payments");
    let mut decoder = Decoder::default();
    let message = v1::ExportedService { namespace: "shop".into(), name: name.clone(), ..Default::default() };
    let why = decoder.service(&format!("shop/{name}"), &message.encode_to_vec()).expect_err("refused");
    assert!(why.contains("give it another name"), "{why}");
    let message = v1::ExportedBucket { namespace: "shop".into(), service: name.clone(), ..Default::default() };
    let why = decoder.bucket(&format!("shop/{name}/1/0"), &message.encode_to_vec()).expect_err("refused");
    assert!(why.contains("named as this cluster names"), "{why}");
}

#[test]
fn what_the_api_server_would_refuse_of_a_port_is_left_out_and_nobody_is_older_than_the_epoch() {
    let port = |app: &str| v1::Port {
        name: "http".into(),
        protocol: v1::Protocol::Tcp.into(),
        port: 80,
        app_protocol: app.to_owned(),
    };
    for (said, read) in [
        ("kubernetes.io/h2c", Some("kubernetes.io/h2c")),
        ("http", Some("http")),
        ("", None),
        ("my protocol", None),
        ("/http", None),
        ("x\u{0}", None),
    ] {
        let message = v1::ExportedService {
            namespace: "shop".into(),
            name: "payments".into(),
            created: i64::MIN,
            ports: vec![port(said)],
            ..Default::default()
        };
        let (_, service) = Decoder::default().service("shop/payments", &message.encode_to_vec()).expect("a service");
        assert_eq!((service.ports[0].app_protocol.as_deref(), service.created), (read, 0), "{said:?}");
    }
}

#[test]
fn what_endpoints_of_a_place_say_alike_is_kept_once_and_the_region_comes_over() {
    let endpoint = |at: u8| v1::ExportedEndpoint {
        id: at.into(),
        addresses: vec![vec![10, 1, 0, at].into()],
        zone: format!("zone-{}", at % 2),
        region: "eu".into(),
        ..Default::default()
    };
    let message = v1::ExportedBucket {
        namespace: "shop".into(),
        service: "payments".into(),
        endpoints: (0..10).map(endpoint).collect(),
        port_sets: vec![v1::PortSet::default()],
    };
    let (_, _, told) = Decoder::default().bucket("shop/payments/1/0", &message.encode_to_vec()).expect("a bucket");
    let alike = told.iter().filter(|(_, one)| Arc::ptr_eq(&one.described, &told[0].1.described));
    assert_eq!(alike.count(), 5);
    assert_eq!(told[0].1.region.as_deref(), Some("eu"));
}
