use std::{collections::BTreeMap, sync::Arc};

use super::Shards;
use crate::resource::{Resource, ResourceType};

fn resource(name: &str, body: &str) -> Resource {
    Resource::from_body(ResourceType::Service, name, body.as_bytes().to_vec())
}

#[test]
fn behaves_as_a_map() {
    let (mut shards, mut model) = (Shards::default(), BTreeMap::new());
    // A fixed walk over 3,000 names that adds, changes and removes: every name is visited several times.
    for step in 0_u32..20_000 {
        let name = format!("shop/svc-{}", step.wrapping_mul(2_654_435_761) % 3_000);
        if step % 3 == 0 {
            assert_eq!(shards.remove(&name), model.remove(&name));
        } else {
            let new = resource(&name, &format!("{}", step % 5));
            let changed = model.insert(name, new.clone()).is_none_or(|old| old != new);
            assert_eq!(shards.insert(new), changed);
        }
        assert_eq!(shards.len(), model.len());
    }
    assert_eq!(shards.iter().count(), model.len());
    assert!(model.iter().all(|(name, resource)| shards.get(name) == Some(resource)));
}

#[test]
fn a_clone_does_not_see_later_writes() {
    let mut shards = Shards::default();
    shards.insert(resource("a", "1"));
    let old = shards.clone();
    shards.insert(resource("a", "2"));
    shards.remove("a");
    shards.insert(resource("b", "1"));
    assert_eq!(old.get("a"), Some(&resource("a", "1")));
    assert_eq!((old.len(), old.get("b")), (1, None));
}

#[test]
fn a_write_copies_one_path_and_shares_the_rest() {
    let mut shards = Shards::default();
    (0..50_000).for_each(|n| assert!(shards.insert(resource(&format!("shop/svc-{n}"), "1"))));
    let old = shards.clone();
    shards.insert(resource("shop/svc-7", "2"));
    let branches = || old.root.0.iter().zip(&shards.root.0);
    assert_eq!(branches().filter(|(old, new)| !Arc::ptr_eq(old, new)).count(), 1);
    let leaves = branches().flat_map(|(old, new)| old.0.iter().zip(&new.0));
    assert_eq!(leaves.filter(|(old, new)| !Arc::ptr_eq(old, new)).count(), 1);
    let largest = shards.root.0.iter().flat_map(|branch| &branch.0).map(|leaf| leaf.0.len()).max();
    assert!(largest < Some(64), "a leaf of {largest:?} resources: copying it is no longer cheap");
}

#[test]
fn an_equal_write_and_a_missing_removal_copy_nothing() {
    let mut shards = Shards::default();
    shards.insert(resource("a", "1"));
    let old = shards.clone();
    assert!(!shards.insert(resource("a", "1")));
    assert_eq!(shards.remove("b"), None);
    assert!(Arc::ptr_eq(&old.root, &shards.root));
}
