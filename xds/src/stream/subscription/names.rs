//! The names that a stream is subscribed to.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use xxhash_rust::xxh3::xxh3_64;

use crate::{resource::Resource, stream::shared::NameSet};

/// Subscribed names. Those that exist share the catalog's text. Those that do not are remembered by their hash, so that a
/// client that asks for what never was, or can never be, costs some bytes for each, however long they are.
#[derive(Debug, Default)]
pub(super) struct Names {
    existing: NameSet,
    /// Most streams have none.
    #[expect(clippy::box_collection, reason = "eight bytes instead of 48, on each of thousands of streams")]
    absent: Option<Box<HashSet<u64>>>,
}

/// What an absent name takes, at most: a table is between 7/16 and 7/8 full.
const ABSENT_BYTES: usize = 20;

// === impl Names ===

impl Names {
    pub(super) fn len(&self) -> usize {
        self.existing.len() + self.absent_len()
    }

    pub(super) fn absent_bytes(&self) -> usize {
        self.absent_len() * ABSENT_BYTES
    }

    fn absent_len(&self) -> usize {
        self.absent.as_ref().map_or(0, |absent| absent.len())
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.existing.contains(name) || self.is_absent(name)
    }

    pub(super) fn some_are_absent(&self) -> bool {
        self.absent.is_some()
    }

    /// Whether it is subscribed to, and did not exist when it was last looked at.
    pub(super) fn is_absent(&self, name: &str) -> bool {
        self.absent.as_ref().is_some_and(|absent| absent.contains(&hash(name)))
    }

    pub(super) fn existing(&self) -> impl Iterator<Item = &Arc<str>> {
        self.existing.names()
    }

    /// Others may be subscribed to the same: Envoys that see the same clusters are to the same endpoints.
    pub(super) fn share(&mut self) {
        self.existing.share();
    }

    /// Adds a name; `now` is the resource that bears it.
    pub(super) fn subscribe(&mut self, name: &str, now: Option<&Resource>) {
        match now {
            Some(resource) => _ = self.existing.insert(resource.name.clone(), ()),
            None => self.insert_absent(name),
        }
    }

    /// Whether it was there.
    pub(super) fn unsubscribe(&mut self, name: &str) -> bool {
        self.existing.remove(name).is_some() || self.remove_absent(name)
    }

    /// Forgets the names that are not among these.
    pub(super) fn retain(&mut self, kept: &HashSet<Cow<'_, str>>) {
        if let Some(absent) = &mut self.absent {
            let kept: HashSet<_> = kept.iter().map(|name| hash(name)).collect();
            absent.retain(|hash| kept.contains(hash));
            if absent.is_empty() {
                self.absent = None;
            }
        }
        self.existing.retain(|name| kept.contains(name));
    }

    /// Notes how the resource of that name is now.
    pub(super) fn touch(&mut self, name: &str, now: Option<&Resource>) {
        match now {
            Some(resource) if self.remove_absent(name) => {
                self.existing.insert(resource.name.clone(), ());
            }
            None if self.existing.remove(name).is_some() => self.insert_absent(name),
            Some(_) | None => {}
        }
    }

    fn insert_absent(&mut self, name: &str) {
        self.absent.get_or_insert_default().insert(hash(name));
    }

    fn remove_absent(&mut self, name: &str) -> bool {
        let Some(absent) = &mut self.absent else { return false };
        let removed = absent.remove(&hash(name));
        if absent.is_empty() {
            self.absent = None;
        }
        removed
    }
}

fn hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ResourceType::Endpoints;

    #[test]
    fn who_is_subscribed_to_the_same_shares_the_names() {
        let resources = (0..1_000).map(|at| Resource::from_body(Endpoints, format!("service-{at}"), vec![]));
        let resources: Vec<_> = resources.collect();
        let of = |count: usize| {
            let mut names = Names::default();
            resources[..count].iter().for_each(|resource| names.subscribe(&resource.name, Some(resource)));
            names.share();
            names
        };
        let mut envoy = of(1_000);
        assert_eq!((of(1_000).existing.own_len(), envoy.existing.own_len()), (0, 0));
        assert!(envoy.unsubscribe("service-1") && !envoy.contains("service-1") && of(1_000).contains("service-1"));
        envoy.touch("service-2", None);
        assert_eq!((envoy.is_absent("service-2"), envoy.len(), envoy.existing.own_len()), (true, 999, 2));
    }
}
