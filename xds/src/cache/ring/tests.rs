use std::sync::Arc;

use super::{CHUNK, CHUNKS_MAX, Changes, Key, Ring};
use crate::resource::ResourceType;

fn key(name: &str) -> Key {
    (ResourceType::Service, Arc::from(name))
}

fn names(changes: Changes<'_>) -> Vec<&str> {
    match changes {
        Changes::None => Vec::new(),
        Changes::Keys(keys) => keys.map(|(_, name)| &**name).collect(),
        Changes::Resync => vec!["resync"],
    }
}

#[test]
fn a_reader_is_told_what_came_after_its_revision_newest_first() {
    let mut ring = Ring::new(10);
    ring.push(1, vec![key("a"), key("b")]);
    ring.push(2, vec![key("c")]);
    ring.push(3, vec![key("d")]);
    assert_eq!(names(ring.since(0, 3)), ["d", "c", "a", "b"]);
    assert_eq!(names(ring.since(1, 3)), ["d", "c"]);
    assert!(matches!(ring.since(3, 3), Changes::None));
}

#[test]
fn a_revision_that_was_never_published_here_means_resync() {
    assert_eq!(names(Ring::new(10).since(9, 3)), ["resync"]);
}

#[test]
fn the_ring_is_bounded_by_keys_and_older_readers_resync() {
    let mut ring = Ring::new(4 * CHUNK);
    let last = 10 * CHUNK as u64;
    (1..=last).for_each(|revision| ring.push(revision, vec![key("a")]));
    assert!(ring.keys <= 4 * CHUNK);
    assert_eq!(names(ring.since(1, last)), ["resync"]);
    assert_eq!(names(ring.since(last - CHUNK as u64, last)).len(), CHUNK);
    assert_eq!(names(ring.since(ring.floor, last)).len(), ring.keys);
    assert_eq!(names(ring.since(ring.floor - 1, last)), ["resync"]);
}

#[test]
fn one_batch_above_the_bound_leaves_an_empty_ring() {
    let mut ring = Ring::new(2);
    ring.push(1, vec![key("a"), key("b"), key("c")]);
    assert_eq!((ring.keys, ring.chunks.len()), (0, 0));
    assert_eq!(names(ring.since(0, 1)), ["resync"]);
    ring.push(2, vec![key("d")]);
    assert_eq!(names(ring.since(1, 2)), ["d"]);
}

#[test]
fn the_ring_is_bounded_by_revisions() {
    let mut ring = Ring::new(usize::MAX);
    let last = (2 * CHUNK * CHUNKS_MAX) as u64;
    (1..=last).for_each(|revision| ring.push(revision, vec![key("a")]));
    assert_eq!(ring.chunks.len(), CHUNKS_MAX);
}
