//! Names that wait to be sent to one client, counted in bytes.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

/// Why a name is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// It changed: to be sent if the client does not hold that version.
    Changed,
    /// The client asked, or needs it again: to be sent in any case.
    Asked,
}

/// Names in order, each once.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    names: BTreeMap<Arc<str>, Why>,
    asked_bytes: usize,
}

/// What an entry takes beside its text: its place in the tree and the counts of its `Arc`.
const ENTRY_BYTES: usize = 48;

// === impl Queue ===

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Memory for what was asked for, in bytes, if nobody else has these names. What changed by itself is not counted: its
    /// names are the catalog's.
    pub(crate) fn asked_bytes(&self) -> usize {
        self.asked_bytes
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.keys()
    }

    pub(crate) fn first(&self) -> Option<&Arc<str>> {
        self.names.first_key_value().map(|(name, _)| name)
    }

    pub(crate) fn insert(&mut self, name: Arc<str>, why: Why) {
        self.asked_bytes += bytes(&name, why);
        match self.names.entry(name) {
            Entry::Vacant(free) => _ = free.insert(why),
            Entry::Occupied(mut known) => {
                self.asked_bytes -= bytes(known.key(), *known.get());
                debug_assert!(*known.get() <= why, "whoever asked is answered");
                known.insert(why);
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Why> {
        self.names.get(name).copied()
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Why> {
        let why = self.names.remove(name)?;
        self.asked_bytes -= bytes(name, why);
        self.let_go();
        Some(why)
    }

    /// Takes the first out; also tells what it took in [`asked_bytes`](Self::asked_bytes).
    pub(crate) fn pop_first(&mut self) -> Option<(Arc<str>, usize)> {
        let (name, why) = self.names.pop_first()?;
        let bytes = bytes(&name, why);
        self.asked_bytes -= bytes;
        self.let_go();
        Some((name, bytes))
    }

    /// An empty tree keeps a node, and most queues are empty most of the time.
    fn let_go(&mut self) {
        if self.names.is_empty() {
            self.names = BTreeMap::new();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn retain(&mut self, kept: impl Fn(&str) -> bool) {
        let asked_bytes = &mut self.asked_bytes;
        self.names.retain(|name, why| {
            let kept = kept(name);
            *asked_bytes -= if kept { 0 } else { bytes(name, *why) };
            kept
        });
    }
}

fn bytes(name: &str, why: Why) -> usize {
    match why {
        Why::Asked => name.len() + ENTRY_BYTES,
        Why::Changed => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_names_that_were_asked_for() {
        let mut queue = Queue::default();
        for name in ["a", "bcd", "a", "ef"] {
            queue.insert(name.into(), Why::Asked);
        }
        queue.insert("changed".into(), Why::Changed);
        assert_eq!(queue.asked_bytes(), 6 + 3 * ENTRY_BYTES);
        queue.retain(|name| name != "ef");
        assert_eq!((queue.remove("ef"), queue.remove("a")), (None, Some(Why::Asked)));
        assert_eq!(queue.pop_first(), Some(("bcd".into(), 3 + ENTRY_BYTES)));
        assert_eq!((queue.asked_bytes(), queue.remove("changed")), (0, Some(Why::Changed)));
    }
}
