//! Where one endpoint stands.

use crate::kubernetes::ObjectKey;

/// Objects, each once and in their order. Nearly always one, for each of very many endpoints: a tree would have room for eleven.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<ObjectKey>);

// === impl Places ===

impl Places {
    pub(super) fn insert(&mut self, place: ObjectKey) {
        if let Err(at) = self.0.binary_search(&place) {
            self.0.reserve_exact(1);
            self.0.insert(at, place);
        }
    }

    pub(super) fn remove(&mut self, place: &ObjectKey) {
        self.0.retain(|known| known != place);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Places {
    type Item = &'a ObjectKey;
    type IntoIter = std::slice::Iter<'a, ObjectKey>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
