//! Tests: the one writer of a zone.

use std::ops::Range;

use super::*;
use crate::zone::label::endpoint_label;
use crate::zone::model::{Addresses, Kind};

fn writer() -> ZoneWriter {
    ZoneWriter::new(Settings { ttl: 5, ..Settings::default() })
}

fn headless(key: &str) -> Change {
    Change::Service(
        key.into(),
        Service { kind: Kind::Headless, publish_not_ready: false, staleness: None, exposed: None },
    )
}

fn endpoint(id: u64) -> Arc<Endpoint> {
    let addresses = Addresses::first_of_each([IpAddr::from([10, 1, (id >> 8) as u8, id as u8])]).unwrap();
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
        place: Arc::default(),
        warns: false,
        suspect: false,
    })
}

fn name(key: &str, part: (u32, u32)) -> BucketName {
    BucketName { service: key.into(), part }
}

fn bucket(key: &str, part: (u32, u32), ids: Range<u64>) -> Change {
    Change::Bucket(name(key, part), ids.map(endpoint).collect())
}

fn addresses(writer: &ZoneWriter, key: &str) -> usize {
    writer.zone().service(key).map_or(0, |record| record.v4_len())
}

fn holders(writer: &ZoneWriter, address: &str) -> Vec<String> {
    let keys = writer.zone().holders.get(&address.parse::<IpAddr>().unwrap());
    keys.iter().flat_map(|keys| keys.iter().map(|(_, key)| key.to_string())).collect()
}

#[test]
fn buckets_of_two_counts_are_united_by_identity() {
    let mut writer = writer();
    writer.apply([headless("a/b"), bucket("a/b", (1, 0), 0..60)], 1);
    assert_eq!((addresses(&writer, "a/b"), writer.size().endpoints), (60, 60));
    writer.apply([bucket("a/b", (2, 0), 0..35)], 2);
    assert_eq!((addresses(&writer, "a/b"), writer.size().endpoints), (60, 60));
    writer.apply([bucket("a/b", (2, 1), 35..70)], 3);
    assert_eq!((addresses(&writer, "a/b"), writer.size().endpoints), (70, 70));
    writer.apply([Change::BucketGone(name("a/b", (1, 0)))], 4);
    assert_eq!((addresses(&writer, "a/b"), writer.size().endpoints), (70, 70));
}

#[test]
fn of_two_accounts_of_an_endpoint_the_later_counts() {
    let mut writer = writer();
    let failed = Endpoint { ready: false, ..Endpoint::clone(&endpoint(1)) };
    writer.apply([headless("a/b"), bucket("a/b", (1, 0), 0..2)], 1);
    writer.apply([Change::Bucket(name("a/b", (2, 0)), vec![Arc::new(failed)])], 2);
    assert_eq!(addresses(&writer, "a/b"), 1);
    writer.apply([bucket("a/b", (1, 0), 0..2)], 3);
    assert_eq!(addresses(&writer, "a/b"), 2);
}

#[test]
fn parts_may_come_in_any_order_and_leave_nothing_behind() {
    let mut writer = writer();
    writer.apply([bucket("a/b", (1, 0), 0..3)], 1);
    assert_eq!((addresses(&writer, "a/b"), writer.size().services), (0, 0));
    writer.apply([headless("a/b")], 2);
    assert_eq!(writer.size(), Size { services: 1, endpoints: 3, names: 4 });
    assert!(writer.zone().namespaces.get("a").is_some());
    writer.apply([Change::ServiceGone("a/b".into())], 3);
    assert_eq!((addresses(&writer, "a/b"), writer.size().services), (0, 0));
    assert!(holders(&writer, "10.1.0.1").is_empty() && writer.zone().namespaces.get("a").is_none());
    writer.apply([Change::BucketGone(name("a/b", (1, 0)))], 4);
    assert_eq!(writer.size(), Size::default());
    assert!(writer.held.is_empty() && writer.namespaces.is_empty());
}

#[test]
fn a_change_touches_only_the_service_it_concerns() {
    let mut writer = writer();
    writer.apply([headless("a/b"), headless("a/c"), bucket("a/b", (1, 0), 0..3), bucket("a/c", (1, 0), 1..2)], 1);
    let before = writer.zone().service("a/c").unwrap();
    assert_eq!(holders(&writer, "10.1.0.1"), ["a/b", "a/c"]);
    writer.apply([bucket("a/b", (1, 0), 2..3)], 2);
    assert!(Arc::ptr_eq(&before, &writer.zone().service("a/c").unwrap()));
    assert_eq!(holders(&writer, "10.1.0.1"), ["a/c"]);
    assert!(holders(&writer, "10.1.0.0").is_empty());
}

#[test]
fn the_serial_follows_the_clock_and_never_goes_back() {
    let mut writer = writer();
    writer.apply([headless("a/b")], 50);
    writer.apply([headless("a/b")], 40);
    assert_eq!(writer.zone().serial(), 50);
    assert!(!writer.zone().is_synced());
    writer.sync("cluster.local", 60).unwrap();
    assert_eq!((writer.zone().serial(), writer.zone().is_synced()), (60, true));
    writer.sync("cluster.local.", 70).unwrap();
    assert_eq!(writer.zone().serial(), 60, "nothing changed");
    for bad in ["", ".", "a..b", &"x".repeat(64)] {
        assert!(writer.sync(bad, 80).is_err(), "{bad:?}");
    }
    assert!(writer.zone().is_synced());
}

#[test]
fn a_change_of_one_endpoint_computes_its_bucket_and_no_other() {
    let mut writer = writer();
    let parts = |first: u64| {
        (0..4).map(move |index| bucket("a/b", (4, index), u64::from(index) * 64 + first..u64::from(index + 1) * 64))
    };
    writer.apply(std::iter::once(headless("a/b")).chain(parts(0)), 1);
    let sections = |writer: &ZoneWriter| -> Vec<_> {
        writer.held["a/b"].buckets.iter().map(|bucket| (bucket.part, bucket.section.clone().unwrap())).collect()
    };
    let before = sections(&writer);
    writer.apply(parts(1).skip(2).take(1), 2);
    assert_eq!((addresses(&writer, "a/b"), writer.size().endpoints, writer.size().names), (255, 255, 256));
    for (part, section) in sections(&writer) {
        let (_, was) = before.iter().find(|(other, _)| *other == part).unwrap();
        assert_eq!(Arc::ptr_eq(was, &section), part != (4, 2), "{part:?}");
    }
    assert!(holders(&writer, "10.1.0.128").is_empty() && !holders(&writer, "10.1.0.129").is_empty());
}
