//! What a client holds, name by name. Clients that hold the same share one table of it, and each has its own differences: thousands
//! of clients that hold thousands of resources would fill the memory with copies otherwise.
//!
//! Tables are found by a sum over what is in them, of hashes with keys that only this process knows: nobody can bring about that
//! two tables have the same.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use crate::resource::Version;

/// Names and versions.
#[derive(Debug, Default)]
pub(super) struct Held {
    shared: Option<Arc<Table>>,
    /// What differs from `shared`; `None` is not held.
    own: HashMap<Arc<str>, Option<Version>>,
    len: usize,
    sum: Sum,
}

type Table = HashMap<Arc<str>, Version>;

/// Of all entries, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Sum(u64, u64);

/// Tables that somebody has, by their sums.
#[derive(Default)]
struct Shelf {
    tables: HashMap<Sum, Weak<Table>>,
    /// Those that nobody has any more are looked for when there are so many.
    swept_at: usize,
}

static SHELF: LazyLock<Mutex<Shelf>> = LazyLock::new(Mutex::default);
static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);

/// Fewer differences are not worth a look.
const OWN_MIN: usize = 32;
/// Of what is held, the part that may differ: a table is made anew after so many changes, once for all that hold the same.
const OWN_PART: usize = 64;

// === impl Held ===

impl Held {
    /// What a client says that it holds, if others hold exactly that: thousands come back at once, and know what they all knew.
    pub(super) fn of_others<'a>(said: impl Iterator<Item = (Cow<'a, str>, Version)>) -> Option<Self> {
        let (mut sum, mut len) = (Sum::default(), 0);
        for (name, version) in said {
            sum.add(&name, version);
            len += 1;
        }
        let shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
        let table = shelf.tables.get(&sum).and_then(Weak::upgrade).filter(|table| table.len() == len)?;
        Some(Self { shared: Some(table), own: HashMap::new(), len, sum })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, name: &str) -> Option<Version> {
        match self.own.get(name) {
            Some(own) => *own,
            None => self.shared.as_ref()?.get(name).copied(),
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Version)> {
        let shared = self.shared.iter().flat_map(|table| table.iter());
        let shared = shared.filter(|(name, _)| !self.own.contains_key(*name)).map(|(name, version)| (name, *version));
        self.own.iter().filter_map(|(name, own)| Some((name, (*own)?))).chain(shared)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().map(|(name, _)| name)
    }

    /// Says which version was held before.
    pub(super) fn insert(&mut self, name: Arc<str>, version: Version) -> Option<Version> {
        let before = self.get(&name);
        if before == Some(version) {
            return before;
        }
        self.count(&name, before, Some(version));
        match self.shared.as_ref().and_then(|table| table.get(&name)) {
            Some(shared) if *shared == version => _ = self.own.remove(&name),
            Some(_) | None => _ = self.own.insert(name, Some(version)),
        }
        before
    }

    /// Hands over the name, if it was held.
    pub(super) fn remove(&mut self, name: &str) -> Option<Arc<str>> {
        let before = self.get(name)?;
        self.count(name, Some(before), None);
        let shared = self.shared.as_ref().and_then(|table| Some(Arc::clone(table.get_key_value(name)?.0)));
        let Some(name) = shared else { return self.own.remove_entry(name).map(|(name, _)| name) };
        self.own.insert(Arc::clone(&name), None);
        Some(name)
    }

    /// Keeps those alone; hands over the others.
    pub(super) fn retain(&mut self, kept: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
        let all = std::mem::take(self);
        let mut dropped = Vec::new();
        for (name, version) in all.iter() {
            if kept(name) {
                self.insert(Arc::clone(name), version);
            } else {
                dropped.push(Arc::clone(name));
            }
        }
        dropped
    }

    /// All of it is of some other version from now on.
    pub(super) fn spoil(&mut self) {
        let all = std::mem::take(self);
        all.names().for_each(|name| _ = self.insert(Arc::clone(name), Version::FOREIGN));
    }

    /// Takes a table that others have as well, once enough differs.
    pub(super) fn share(&mut self) {
        if self.own.len() <= OWN_MIN.max(self.len / OWN_PART) {
            return;
        }
        let mut shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
        let table = shelf.tables.get(&self.sum).and_then(Weak::upgrade).unwrap_or_else(|| {
            let table = Arc::new(self.iter().map(|(name, version)| (Arc::clone(name), version)).collect());
            shelf.put(self.sum, &table);
            table
        });
        drop(shelf);
        self.own = HashMap::new();
        self.shared = Some(table);
    }

    fn count(&mut self, name: &str, before: Option<Version>, now: Option<Version>) {
        if let Some(before) = before {
            self.sum.take(name, before);
            self.len -= 1;
        }
        if let Some(now) = now {
            self.sum.add(name, now);
            self.len += 1;
        }
    }
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, name: &str, version: Version) {
        let Self(a, b) = Self::of(name, version);
        *self = Self(self.0.wrapping_add(a), self.1.wrapping_add(b));
    }

    fn take(&mut self, name: &str, version: Version) {
        let Self(a, b) = Self::of(name, version);
        *self = Self(self.0.wrapping_sub(a), self.1.wrapping_sub(b));
    }

    fn of(name: &str, version: Version) -> Self {
        let [a, b] = &*KEYS;
        Self(a.hash_one((name, version)), b.hash_one((name, version)))
    }
}

// === impl Shelf ===

impl Shelf {
    fn put(&mut self, sum: Sum, table: &Arc<Table>) {
        const SWEPT_AT_LEAST: usize = 64;
        if self.tables.len() >= self.swept_at.max(SWEPT_AT_LEAST) {
            self.tables.retain(|_, table| table.strong_count() > 0);
            self.swept_at = self.tables.len() * 2;
        }
        self.tables.insert(sum, Arc::downgrade(table));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(count: usize) -> Held {
        let mut held = Held::default();
        for at in 0..count {
            held.insert(format!("service-{at}").into(), Version::of(&at.to_be_bytes()));
        }
        held.share();
        held
    }

    #[test]
    fn who_holds_the_same_shares_a_table_and_changes_nobody_elses() {
        let [mut a, b] = [full(1_000), full(1_000)];
        let (Some(of_a), Some(of_b)) = (&a.shared, &b.shared) else { panic!("nothing is shared") };
        assert!(Arc::ptr_eq(of_a, of_b));
        let version = Version::of(b"else");
        assert_eq!(a.insert("service-1".into(), version), b.get("service-1"));
        assert_eq!(a.remove("service-2").as_deref(), Some("service-2"));
        assert_eq!((a.len(), a.get("service-1"), a.get("service-2")), (999, Some(version), None));
        assert!(b.get("service-1") != Some(version) && b.contains("service-2") && b.len() == 1_000);
        a.share();
        assert_eq!(a.own.len(), 2, "so few differences are kept");
    }

    #[test]
    fn who_comes_back_with_what_others_hold_takes_their_table() {
        let held = full(200);
        let all = || held.iter().map(|(name, version)| (Cow::Borrowed(&**name), version));
        let back = Held::of_others(all()).expect("they hold the same");
        assert_eq!((back.len(), back.get("service-7")), (200, held.get("service-7")));
        assert!(Held::of_others(all().skip(1)).is_none());
        assert!(Held::of_others(all().chain(all().take(1))).is_none(), "one is there twice");
    }

    proptest! {
        #[test]
        fn it_holds_what_a_plain_table_would(steps in prop::collection::vec((0..4u8, 0..80usize, 0..3u8), 1..400)) {
            let (mut held, mut plain) = (Held::default(), HashMap::<Arc<str>, Version>::new());
            for (what, at, body) in steps {
                let name: Arc<str> = format!("service-{at}").into();
                match what {
                    0 | 1 => {
                        let version = Version::of(&[body]);
                        prop_assert_eq!(held.insert(name.clone(), version), plain.insert(name, version));
                    }
                    2 => prop_assert_eq!(held.remove(&name), plain.remove_entry(&name).map(|(name, _)| name)),
                    _ => held.share(),
                }
                prop_assert_eq!(held.len(), plain.len());
                let read: HashMap<_, _> = held.iter().map(|(name, version)| (name.clone(), version)).collect();
                prop_assert_eq!(&read, &plain);
            }
            let dropped = held.retain(|name| name.len() > 9);
            prop_assert!(dropped.iter().all(|name| name.len() <= 9) && held.names().all(|name| name.len() > 9));
            prop_assert_eq!(dropped.len() + held.len(), plain.len());
        }
    }
}
