//! Tests: the catalog as resources.

use std::sync::Arc;

use super::{Cache, Changes};
use crate::resource::{
    Resource,
    ResourceType::{Cluster, Service, Zone},
};

fn resource(name: &str, body: &str) -> Resource {
    Resource::from_body(Service, name, body.as_bytes().to_vec())
}

#[test]
fn a_write_is_seen_after_publish_and_not_before() {
    let mut cache = Cache::new();
    let empty = cache.publish();
    assert!(cache.upsert(Service, resource("a", "1")));
    assert!(cache.published().is_empty());
    let snapshot = cache.publish();
    assert_eq!((snapshot.revision(), snapshot.len(Service), snapshot.len(Zone)), (1, 1, 0));
    assert_eq!(snapshot.get(Service, "a"), Some(&resource("a", "1")));
    assert!(empty.is_empty() && snapshot.get(Cluster, "a").is_none());
}

#[test]
fn the_revision_moves_only_when_something_changed() {
    let mut cache = Cache::new();
    cache.upsert(Service, resource("a", "1"));
    let first = cache.publish();
    assert!(!cache.upsert(Service, resource("a", "1")));
    assert!(!cache.remove(Service, "b"));
    assert!(Arc::ptr_eq(&cache.publish(), &first));
    assert!(cache.remove(Service, "a"));
    assert_eq!(cache.publish().revision(), first.revision() + 1);
}

#[test]
fn a_batch_names_each_key_once_with_its_type() {
    let mut cache = Cache::new();
    let before = cache.publish().revision();
    cache.upsert(Service, resource("a", "1"));
    cache.upsert(Service, resource("a", "2"));
    cache.upsert(Cluster, resource("a", "1"));
    let snapshot = cache.publish();
    let Changes::Keys(keys) = snapshot.changes_since(before) else { panic!("expected keys") };
    let keys: Vec<_> = keys.map(|(ty, name)| (*ty, &**name)).collect();
    assert_eq!(keys, [(Cluster, "a"), (Service, "a")]);
    assert!(matches!(snapshot.changes_since(snapshot.revision()), Changes::None));
}
