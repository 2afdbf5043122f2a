//! What a client holds or asks for, name by name. Clients that have the same share one table of it, and each has its own
//! differences: thousands of clients that hold thousands of resources would fill the memory with copies otherwise.
//!
//! Tables are found by a sum over what is in them, of hashes with a key that only this process knows: nobody can bring about that
//! two tables have the same.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, Hash, Hasher as _, RandomState},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
};

use rollcall_catalog::persistent::Map;

use crate::resource::Version;

mod step;

use self::step::Made;
pub(super) use self::step::{Since, Step};

/// Names and what is known of each.
#[derive(Debug)]
pub(super) struct Shared<V> {
    table: Option<Arc<Table<V>>>,
    /// What differs from `table`; `None` is not there.
    own: HashMap<Arc<str>, Option<V>>,
    len: usize,
    sum: Sum,
}

/// What a client holds.
pub(super) type Held = Shared<Version>;

/// Names and nothing else.
pub(super) type NameSet = Shared<()>;

/// What several have. Tables that differ in little are the same memory but for that.
#[derive(Debug)]
struct Table<V> {
    entries: Map<Arc<str>, V>,
    /// What all who have it are told next.
    made: Mutex<Vec<Made>>,
}

/// Of all entries, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Sum(u64);

/// What is known of a name.
pub(super) trait Known: Copy + Eq + Hash + 'static {
    /// Where tables of it stand.
    fn shelf() -> &'static Mutex<Shelf<Self>>;
}

/// Tables that somebody has, by their sums.
pub(super) struct Shelf<V> {
    tables: HashMap<Sum, Weak<Table<V>>>,
    /// Those that nobody has any more are looked for when there are so many.
    swept_at: usize,
    /// Those that were taken last stay for a while: of thousands that come back with the same each goes on from it at once.
    recent: VecDeque<Arc<Table<V>>>,
}

/// How many tables stay, and of how many entries together.
const RECENT_MAX: usize = 4;
const RECENT_ENTRIES_MAX: usize = 32_768;

static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// Fewer differences are not worth a look, and fewer entries no table.
const OWN_MIN: usize = if cfg!(test) { 1 } else { 32 };
/// Of what is there, the part that may differ: a table is made anew after so many changes, once for all that have the same.
const OWN_PART: usize = 64;

// === impl Known ===

impl Known for Version {
    fn shelf() -> &'static Mutex<Shelf<Self>> {
        static SHELF: LazyLock<Mutex<Shelf<Version>>> = LazyLock::new(Mutex::default);
        &SHELF
    }
}

impl Known for () {
    fn shelf() -> &'static Mutex<Shelf<Self>> {
        static SHELF: LazyLock<Mutex<Shelf<()>>> = LazyLock::new(Mutex::default);
        &SHELF
    }
}

// === impl Shared ===

impl<V: Known> Shared<V> {
    /// What a client says, if others have exactly that: thousands come back at once, and know what they all knew.
    pub(super) fn of_others<'a>(said: impl Iterator<Item = (&'a [u8], V)>) -> Option<Self> {
        let (mut sum, mut len) = (Sum::default(), 0);
        for (name, known) in said {
            sum.0 = sum.0.wrapping_add(hash(name, known));
            len += 1;
        }
        let mut shelf = shelf::<V>();
        let table = shelf.table(sum, len)?;
        shelf.keep(&table);
        drop(shelf);
        Some(Self { table: Some(table), own: HashMap::new(), len, sum })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, name: &str) -> Option<V> {
        match self.own.get(name) {
            Some(own) => *own,
            None => self.table.as_ref()?.entries.get(name).copied(),
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, V)> {
        let shared = self.table.iter().flat_map(|table| table.entries.iter());
        let shared = shared.filter(|(name, _)| !self.own.contains_key(*name)).map(|(name, known)| (name, *known));
        self.own.iter().filter_map(|(name, own)| Some((name, (*own)?))).chain(shared)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().map(|(name, _)| name)
    }

    /// Says what was known before.
    pub(super) fn insert(&mut self, name: Arc<str>, known: V) -> Option<V> {
        let before = self.get(&name);
        if before == Some(known) {
            return before;
        }
        self.count(&name, before, Some(known));
        match self.table.as_ref().and_then(|table| table.entries.get(&name)) {
            Some(shared) if *shared == known => _ = self.own.remove(&name),
            Some(_) | None => _ = self.own.insert(name, Some(known)),
        }
        before
    }

    /// Hands over the name, if it was there.
    pub(super) fn remove(&mut self, name: &str) -> Option<Arc<str>> {
        let before = self.get(name)?;
        self.count(name, Some(before), None);
        let shared = self.table.as_ref().and_then(|table| Some(Arc::clone(table.entries.get_key_value(name)?.0)));
        let removed = match shared {
            Some(name) => {
                self.own.insert(Arc::clone(&name), None);
                Some(name)
            }
            None => self.own.remove_entry(name).map(|(name, _)| name),
        };
        if self.is_empty() {
            *self = Self::default(); // thousands may have been there, and not again
        }
        removed
    }

    /// Keeps those alone; hands over the others.
    pub(super) fn retain(&mut self, kept: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
        let dropped: Vec<_> = self.names().filter(|name| !kept(name)).cloned().collect();
        dropped.iter().for_each(|name| _ = self.remove(name));
        dropped
    }

    /// Takes a table that others have as well, once enough differs.
    pub(super) fn share(&mut self) {
        if self.own.len() > OWN_MIN.max(self.len / OWN_PART) {
            self.settle();
        }
    }

    /// Takes a table that others have as well, or may have.
    fn settle(&mut self) {
        if self.own.is_empty() && self.table.is_some() {
            return;
        }
        let known = shelf::<V>().table(self.sum, self.len);
        let own = std::mem::take(&mut self.own);
        self.table = known.or_else(|| {
            let mut entries = self.table.as_ref().map_or_else(Map::default, |table| table.entries.clone());
            for (name, own) in own {
                match own {
                    Some(known) => _ = entries.insert(name, known),
                    None => _ = entries.remove(&*name),
                }
            }
            Some(shelf().put(self.sum, Table { entries, made: Mutex::default() }))
        });
    }

    /// Whether all of it is in a table that others may have as well.
    pub(super) fn is_shared(&self) -> bool {
        self.table.is_some() && self.own.is_empty()
    }

    /// How much of it nobody else has.
    #[cfg(test)]
    pub(super) fn own_len(&self) -> usize {
        self.own.len()
    }

    fn count(&mut self, name: &str, before: Option<V>, now: Option<V>) {
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

impl Held {
    /// All of it is of some other version from now on.
    pub(super) fn spoil(&mut self) {
        let all = std::mem::take(self);
        all.names().for_each(|name| _ = self.insert(Arc::clone(name), Version::FOREIGN));
    }
}

impl<V> Default for Shared<V> {
    fn default() -> Self {
        Self { table: None, own: HashMap::new(), len: 0, sum: Sum::default() }
    }
}

// === impl Sum ===

impl Sum {
    fn add<V: Known>(&mut self, name: &str, known: V) {
        self.0 = self.0.wrapping_add(hash(name.as_bytes(), known));
    }

    fn take<V: Known>(&mut self, name: &str, known: V) {
        self.0 = self.0.wrapping_sub(hash(name.as_bytes(), known));
    }
}

fn hash<V: Known>(name: &[u8], known: V) -> u64 {
    let mut hasher = KEY.build_hasher();
    known.hash(&mut hasher); // of one length, so that no name can stand for another with it
    hasher.write(name);
    hasher.finish()
}

// === impl Shelf ===

impl<V> Default for Shelf<V> {
    fn default() -> Self {
        Self { tables: HashMap::new(), swept_at: 0, recent: VecDeque::new() }
    }
}

impl<V> Shelf<V> {
    /// The table of that sum, if somebody has it.
    fn table(&self, sum: Sum, len: usize) -> Option<Arc<Table<V>>> {
        self.tables.get(&sum).and_then(Weak::upgrade).filter(|table| table.entries.len() == len)
    }

    /// Has it stay for a while.
    fn keep(&mut self, table: &Arc<Table<V>>) {
        if self.recent.iter().any(|recent| Arc::ptr_eq(recent, table)) {
            return;
        }
        self.recent.push_back(Arc::clone(table));
        let entries = |recent: &VecDeque<Arc<Table<V>>>| recent.iter().map(|table| table.entries.len()).sum::<usize>();
        while self.recent.len() > RECENT_MAX || entries(&self.recent) > RECENT_ENTRIES_MAX {
            self.recent.pop_front();
        }
    }

    /// Another may have put the same meanwhile.
    fn put(&mut self, sum: Sum, table: Table<V>) -> Arc<Table<V>> {
        const SWEPT_AT_LEAST: usize = 64;
        if let Some(known) = self.table(sum, table.entries.len()) {
            return known;
        }
        if self.tables.len() >= self.swept_at.max(SWEPT_AT_LEAST) {
            self.tables.retain(|_, table| table.strong_count() > 0);
            self.swept_at = self.tables.len() * 2;
        }
        let table = Arc::new(table);
        self.tables.insert(sum, Arc::downgrade(&table));
        self.keep(&table);
        table
    }
}

fn shelf<V: Known>() -> MutexGuard<'static, Shelf<V>> {
    V::shelf().lock().unwrap_or_else(PoisonError::into_inner)
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
        let (Some(of_a), Some(of_b)) = (&a.table, &b.table) else { panic!("nothing is shared") };
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
        let all = || held.iter().map(|(name, version)| (name.as_bytes(), version));
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
