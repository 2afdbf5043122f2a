//! Names of resources that are made on demand: when what they are made of changes, they are looked at again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    cache::Key,
    resource::ResourceType,
    view::{Resources, Subject},
};

/// The names of one stream that follow something else than themselves. Most streams have none.
#[derive(Debug, Default)]
pub(super) struct Followers(Option<Box<Followed>>);

#[derive(Debug, Default)]
struct Followed {
    /// A set: a client may ask for one service by a hundred thousand names.
    by_subject: HashMap<Subject, HashSet<Key>>,
    count: usize,
    bytes: usize,
}

/// What a name takes beside its text: its place in a list, a share of the table, the counts of its `Arc`.
const NAME_BYTES: usize = 96;

/// Names that are no longer wanted are forgotten when there are more than this and twice as many as are wanted.
const SWEEP_MIN: usize = 64;

// === impl Followers ===

impl Followers {
    /// Memory that they take: these names are in no catalog.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |followed| followed.bytes)
    }

    /// Notes a name that was subscribed to, if it follows something.
    pub(super) fn add(&mut self, ty: ResourceType, name: &str, resources: &impl Resources) {
        let Some(subject) = resources.follows(ty, name) else { return };
        let followed = self.0.get_or_insert_default();
        if followed.by_subject.entry(subject).or_default().insert((ty, name.into())) {
            followed.count += 1;
            followed.bytes += name.len() + NAME_BYTES;
        }
    }

    /// Who follows what that resource is about.
    pub(super) fn of(&self, ty: ResourceType, name: &str, resources: &impl Resources) -> Vec<Key> {
        let Some(followed) = &self.0 else { return Vec::new() };
        let subject = resources.subject(ty, name);
        subject.and_then(|subject| followed.by_subject.get(&subject)).into_iter().flatten().cloned().collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Key> {
        self.0.iter().flat_map(|followed| followed.by_subject.values().flatten().cloned()).collect()
    }

    /// Forgets what nobody wants any more, now and then; `names` says how many names there are at all.
    pub(super) fn sweep(&mut self, names: usize, wants: impl Fn(ResourceType, &str) -> bool) {
        let Some(followed) = self.0.as_mut().filter(|followed| followed.count > SWEEP_MIN.max(2 * names)) else {
            return;
        };
        followed.by_subject.retain(|_, names| {
            names.retain(|(ty, name)| wants(*ty, name));
            names.shrink_to_fit();
            !names.is_empty()
        });
        let all = || followed.by_subject.values().flatten();
        followed.count = all().count();
        followed.bytes = all().map(|(_, name): &(ResourceType, Arc<str>)| name.len() + NAME_BYTES).sum();
        if followed.count == 0 {
            self.0 = None;
        }
    }
}
