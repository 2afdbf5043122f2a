//! The names that a stream is subscribed to.

use std::{collections::HashSet, sync::Arc};

use xxhash_rust::xxh3::xxh3_64;

use crate::resource::Resource;

/// Subscribed names. Those that exist share the catalog's text. Those that do not are remembered by their hash, so that a
/// client that asks for what never was, or can never be, costs some bytes for each, however long they are.
#[derive(Debug, Default)]
pub(super) struct Names {
    existing: HashSet<Arc<str>>,
    absent: HashSet<u64>,
}

/// What an absent name takes, at most: a table is between 7/16 and 7/8 full.
const ABSENT_BYTES: usize = 20;

// === impl Names ===

impl Names {
    pub(super) fn len(&self) -> usize {
        self.existing.len() + self.absent.len()
    }

    pub(super) fn absent_bytes(&self) -> usize {
        self.absent.len() * ABSENT_BYTES
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.existing.contains(name) || self.is_absent(name)
    }

    pub(super) fn some_are_absent(&self) -> bool {
        !self.absent.is_empty()
    }

    /// Whether it is subscribed to, and did not exist when it was last looked at.
    pub(super) fn is_absent(&self, name: &str) -> bool {
        self.some_are_absent() && self.absent.contains(&hash(name))
    }

    pub(super) fn existing(&self) -> impl Iterator<Item = &Arc<str>> {
        self.existing.iter()
    }

    /// Adds a name; `now` is the resource that bears it.
    pub(super) fn subscribe(&mut self, name: &str, now: Option<&Resource>) {
        match now {
            Some(resource) => _ = self.existing.insert(resource.name.clone()),
            None => _ = self.absent.insert(hash(name)),
        }
    }

    /// Whether it was there.
    pub(super) fn unsubscribe(&mut self, name: &str) -> bool {
        self.existing.remove(name) || (self.some_are_absent() && self.absent.remove(&hash(name)))
    }

    /// Notes how the resource of that name is now.
    pub(super) fn touch(&mut self, name: &str, now: Option<&Resource>) {
        match now {
            Some(resource) if self.some_are_absent() && self.absent.remove(&hash(name)) => {
                self.existing.insert(resource.name.clone());
            }
            None if self.existing.remove(name) => _ = self.absent.insert(hash(name)),
            Some(_) | None => {}
        }
    }
}

fn hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}
