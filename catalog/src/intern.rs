//! Interning: equal values that arrive many times (namespaces, zones, port lists, label sets) are kept once.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use crate::hashed::HashSet;

/// A set of shared values. [`Interner::get`] returns the one `Arc` for a value.
///
/// Values that nobody else holds are dropped in a sweep whenever the set has doubled since the last one, so the memory
/// is bounded by twice what is in use.
#[derive(Debug)]
pub struct Interner<T: ?Sized + Hash + Eq> {
    values: HashSet<Arc<T>>,
    sweep_at: usize,
}

const SWEEP_MIN: usize = 1024;

// === impl Interner ===

impl<T: ?Sized + Hash + Eq> Default for Interner<T> {
    fn default() -> Self {
        Self { values: HashSet::default(), sweep_at: SWEEP_MIN }
    }
}

impl<T: ?Sized + Hash + Eq> Interner<T> {
    /// The shared copy of `value`, made on first sight.
    pub fn get<Q>(&mut self, value: &Q) -> Arc<T>
    where
        Arc<T>: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
        for<'a> Arc<T>: From<&'a Q>,
    {
        if let Some(known) = self.values.get(value) {
            return Arc::clone(known);
        }
        self.insert(Arc::from(value))
    }

    /// Like [`Interner::get`] for a value that is already shared or owned.
    pub fn share(&mut self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        match self.values.get(&value) {
            Some(known) => Arc::clone(known),
            None => self.insert(value),
        }
    }

    /// How many distinct values are held.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn insert(&mut self, value: Arc<T>) -> Arc<T> {
        if self.values.len() >= self.sweep_at {
            self.values.retain(|held| Arc::strong_count(held) > 1);
            self.sweep_at = (self.values.len() * 2).max(SWEEP_MIN);
        }
        self.values.insert(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_allocation() {
        let mut names = Interner::<str>::default();
        assert!(Arc::ptr_eq(&names.get("zone-a"), &names.get("zone-a")));
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn values_nobody_holds_are_swept() {
        let mut names = Interner::<str>::default();
        let kept = names.get("kept");
        for i in 0..SWEEP_MIN * 3 {
            names.get(format!("pod-{i}").as_str());
        }
        assert!(names.len() <= SWEEP_MIN + 1, "{} values held", names.len());
        assert!(Arc::ptr_eq(&kept, &names.get("kept")));
    }
}
