//! What the API server keeps of what it is given. Where its schema is older than what is written, it prunes what it does not know:
//! what is read differs from what was meant, however often that is written.

use std::collections::HashMap;
use std::hash::Hash;

/// What writes came to, of the objects of which something else was kept than was given. What stands is read by it: that which the
/// API server made of the last write means what that write meant. After a restart each is written once more, and known again.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept<K: Eq + Hash, T>(HashMap<K, Made<T>>);

/// One object.
#[derive(Clone, Debug, PartialEq)]
struct Made<T> {
    meant: T,
    stands: T,
}

// === impl Kept ===

impl<K: Eq + Hash, T> Default for Kept<K, T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash, T: Clone + PartialEq> Kept<K, T> {
    /// `meant` was written, and `stands` by the answer.
    pub fn wrote(&mut self, key: &K, meant: &T, stands: &T) {
        match meant == stands {
            true => self.forget(key),
            false => _ = self.0.insert(key.clone(), Made { meant: meant.clone(), stands: stands.clone() }),
        }
    }

    /// What is meant by what stands.
    pub fn read(&self, key: &K, stands: T) -> T {
        match self.0.get(key) {
            Some(made) if made.stands == stands => made.meant.clone(),
            Some(_) | None => stands,
        }
    }

    /// The object is gone.
    pub fn forget(&mut self, key: &K) {
        self.0.remove(key);
    }

    /// Whether nothing is kept otherwise than it was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_made_of_the_last_write_means_what_was_written() {
        let mut kept = Kept::default();
        kept.wrote(&"a", &"new field", &"");
        assert_eq!((kept.read(&"a", ""), kept.read(&"b", "")), ("new field", ""));
        assert_eq!(kept.read(&"a", "of somebody else"), "of somebody else");
        // The definition was brought up to date.
        kept.wrote(&"a", &"new field", &"new field");
        assert_eq!(kept.read(&"a", ""), "");
        kept.wrote(&"a", &"other", &"");
        kept.forget(&"a");
        assert!(kept.is_empty());
    }
}
