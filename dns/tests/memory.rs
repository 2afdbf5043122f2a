//! Memory of the index at the design's size. Alone in its process, so that nothing else is counted.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::IpAddr;
use std::sync::Arc;

use rollcall_admin::process::resident_memory_bytes;
use rollcall_dns::zone::label::endpoint_label;
use rollcall_dns::zone::model::{Addresses, Endpoint, Kind, Service};
use rollcall_dns::zone::writer::{BucketName, Change, Size};
use rollcall_dns::zone::{Settings, ZoneWriter};

/// The design allows the whole server 120 MB; the index is most of it.
const BYTES_MAX: u64 = 60 << 20;

fn endpoint(id: u64) -> Arc<Endpoint> {
    let ip = IpAddr::from((0x0a00_0000 + u32::try_from(id).unwrap()).to_be_bytes());
    let addresses = Addresses::first_of_each([ip]).unwrap();
    let (label, has_hostname) = endpoint_label("", addresses);
    Arc::new(Endpoint {
        id,
        addresses,
        weight: 1,
        ready: true,
        label,
        has_hostname,
        ports: Arc::new([]),
        texts: Arc::default(),
        place: Default::default(),
        warns: false,
        suspect: false,
    })
}

#[test]
fn a_hundred_thousand_headless_endpoints_stay_small() {
    let before = resident_memory_bytes();
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    for n in 0..10_000_u64 {
        let service: Arc<str> = format!("namespace-{}/service-{n}", n % 100).into();
        let headless = Service { kind: Kind::Headless, publish_not_ready: false, staleness: None, exposed: None };
        let bucket = BucketName { service: Arc::clone(&service), part: (1, 0) };
        let endpoints = (n * 10..n * 10 + 10).map(endpoint).collect();
        writer.apply([Change::Service(service, headless), Change::Bucket(bucket, endpoints)], 1);
    }
    assert_eq!(writer.size(), Size { services: 10_000, endpoints: 100_000, names: 110_000 });
    let grown = resident_memory_bytes().saturating_sub(before);
    println!("index of 100,000 endpoints in 10,000 services: {} MiB", grown >> 20);
    assert!(grown > 1 << 20, "memory is not measured");
    assert!(grown < BYTES_MAX, "the index takes {} MiB", grown >> 20);
}
