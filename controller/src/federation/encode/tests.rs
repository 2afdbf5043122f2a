//! What a change costs on the way to another cluster.

use std::collections::BTreeMap;

use prost::Message as _;

use super::*;
use crate::testing::*;

/// A service of 5,000 machines, of which one has another address in each round.
fn told(round: u8) -> BTreeMap<String, Resource> {
    let machine = |number: u32| {
        let third = if number == 1_234 { 200 + u32::from(round) } else { number / 250 };
        vm(&format!("vm-{number}"), &format!("10.1.{third}.{}", 1 + number % 250))
    };
    let merged = merged([cluster_ip("payments"), registered("payments", (0..5_000).map(machine).collect())]);
    let all = service(&merged, 1, &Tags::default()).expect("it can be exported");
    all.into_iter().map(|(_, resource)| (resource.name.to_string(), resource)).collect()
}

#[test]
fn one_changed_endpoint_of_five_thousand_ships_one_bucket_below_eight_kilobytes() {
    let (before, after) = (told(0), told(1));
    assert_eq!(before.len(), after.len());
    let changed: Vec<_> =
        after.iter().filter(|(name, now)| before.get(*name).is_none_or(|was| was.version != now.version)).collect();
    assert_eq!(changed.len(), 1, "{:?}", changed.iter().map(|(name, _)| name).collect::<Vec<_>>());
    let bytes = changed[0].1.wire.len();
    assert!(bytes <= 8_000, "{bytes} bytes");
    println!(
        "one of 5,000 endpoints changed: {bytes} bytes of {}",
        after.values().map(|it| it.wire.len()).sum::<usize>()
    );
}

#[test]
fn what_was_imported_is_never_told() {
    let origin = crate::federation::link::origin(&"north".into(), &service_key("payments"));
    let imported = rollcall_catalog::input::Contribution {
        endpoints: [vm("theirs", "10.9.0.1")].into(),
        ..rollcall_catalog::input::Contribution::new(origin, service_key("payments"))
    };
    let own = registered("payments", vec![vm("ours", "10.1.0.1")]);
    let merged = merged([cluster_ip("payments"), own, rollcall_catalog::Input::Contribution(imported)]);
    assert_eq!(merged.endpoints.iter().count(), 2);
    let all = service(&merged, 1, &Tags::default()).expect("it can be exported");
    let told: Vec<_> = all
        .iter()
        .filter(|(ty, _)| *ty == ResourceType::ExportedBucket)
        .map(|(_, resource)| v1::ExportedBucket::decode(resource.body()).expect("a bucket"))
        .flat_map(|bucket| bucket.endpoints)
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].addresses, [vec![10, 1, 0, 1]]);
}
