//! What a client holds or asks for, name by name. Clients that have the same share one table of it, and each has its own
//! differences: thousands of clients that hold thousands of resources would fill the memory with copies otherwise.
//!
//! Tables are found by a sum over what is in them, of hashes with a key that only this process knows: nobody can bring about that
//! two tables have the same.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::{
    resource::{ResourceType, Version},
    view::{Resources, Sight},
};

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

/// What several have.
#[derive(Debug)]
struct Table<V> {
    entries: HashMap<Arc<str>, V>,
    compared: Mutex<Option<Compared>>,
}

/// What of a table differs from what there is: thousands come back at once with the same one.
#[derive(Debug)]
struct Compared {
    ty: ResourceType,
    sight: Sight,
    names: Arc<[Arc<str>]>,
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
}

static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// More names that differ are not remembered.
const DIFFERING_MAX: usize = 1_024;
/// Fewer differences are not worth a look.
const OWN_MIN: usize = 32;
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
    pub(super) fn of_others<'a>(said: impl Iterator<Item = (Cow<'a, str>, V)>) -> Option<Self> {
        let (mut sum, mut len) = (Sum::default(), 0);
        for (name, known) in said {
            sum.add(&name, known);
            len += 1;
        }
        let table = shelf::<V>().tables.get(&sum).and_then(Weak::upgrade).filter(|table| table.entries.len() == len)?;
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
        if self.own.len() <= OWN_MIN.max(self.len / OWN_PART) {
            return;
        }
        let mut shelf = shelf::<V>();
        let table = shelf.tables.get(&self.sum).and_then(Weak::upgrade).unwrap_or_else(|| {
            let entries = self.iter().map(|(name, known)| (Arc::clone(name), known)).collect();
            let table = Arc::new(Table { entries, compared: Mutex::default() });
            shelf.put(self.sum, &table);
            table
        });
        drop(shelf);
        self.own = HashMap::new();
        self.table = Some(table);
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
    /// The names of what differs from `resources`, or is not there, or is there and not held: found once for all that hold the
    /// same and see alike. `None` of what is not shared.
    pub(super) fn differing(&self, ty: ResourceType, resources: &impl Resources) -> Option<Arc<[Arc<str>]>> {
        let (table, sight) = (self.table.as_ref().filter(|_| self.own.is_empty())?, resources.sight()?);
        // Who comes while it is looked at waits for that, and need not look.
        let mut compared = table.compared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = compared.as_ref().filter(|known| known.ty == ty && known.sight == sight) {
            return Some(Arc::clone(&known.names));
        }
        let changed =
            |(name, version): &(&Arc<str>, Version)| resources.get(ty, name).is_none_or(|now| now.version != *version);
        let mut names: Vec<_> = self.iter().filter(changed).map(|(name, _)| Arc::clone(name)).collect();
        resources.for_each(ty, &mut |resource| {
            if !self.contains(&resource.name) {
                names.push(Arc::clone(&resource.name));
            }
        });
        let names: Arc<[_]> = names.into();
        if names.len() <= DIFFERING_MAX {
            *compared = Some(Compared { ty, sight, names: Arc::clone(&names) });
        }
        Some(names)
    }

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
        self.0 = self.0.wrapping_add(KEY.hash_one((name, known)));
    }

    fn take<V: Known>(&mut self, name: &str, known: V) {
        self.0 = self.0.wrapping_sub(KEY.hash_one((name, known)));
    }
}

// === impl Shelf ===

impl<V> Default for Shelf<V> {
    fn default() -> Self {
        Self { tables: HashMap::new(), swept_at: 0 }
    }
}

impl<V> Shelf<V> {
    fn put(&mut self, sum: Sum, table: &Arc<Table<V>>) {
        const SWEPT_AT_LEAST: usize = 64;
        if self.tables.len() >= self.swept_at.max(SWEPT_AT_LEAST) {
            self.tables.retain(|_, table| table.strong_count() > 0);
            self.swept_at = self.tables.len() * 2;
        }
        self.tables.insert(sum, Arc::downgrade(table));
    }
}

fn shelf<V: Known>() -> MutexGuard<'static, Shelf<V>> {
    V::shelf().lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        cache::{Cache, Snapshot},
        resource::{Resource, ResourceType::Cluster},
    };

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
    fn what_differs_is_found_once_for_all_that_hold_the_same_and_see_alike() {
        let mut cache = Cache::new();
        let write = |cache: &mut Cache, at: usize, body: &str| {
            let resource = Resource::from_body(Cluster, format!("service-{at}"), body.as_bytes().to_vec());
            cache.upsert(Cluster, resource);
            cache.publish()
        };
        let body = |at: usize| at.to_string();
        let mut snapshot = cache.publish();
        for at in 0..100 {
            snapshot = write(&mut cache, at, &body(at));
        }
        let mut held = Held::default();
        snapshot.iter(Cluster).for_each(|resource| _ = held.insert(resource.name.clone(), resource.version));
        assert!(held.differing(Cluster, &*snapshot).is_none(), "nobody else has it");
        held.share();
        let differing = |held: &Held, snapshot: &Snapshot| {
            let names = held.differing(Cluster, snapshot).expect("it is shared");
            let mut sorted: Vec<_> = names.iter().map(ToString::to_string).collect();
            sorted.sort();
            (names, sorted)
        };
        assert_eq!(differing(&held, &snapshot).1, [""; 0]);
        write(&mut cache, 7, "else");
        write(&mut cache, 100, "new");
        cache.remove(Cluster, "service-9");
        let snapshot = cache.publish();
        let (names, sorted) = differing(&held, &snapshot);
        assert_eq!(sorted, ["service-100", "service-7", "service-9"]);
        let all = || held.iter().map(|(name, version)| (Cow::Borrowed(&**name), version));
        let other = Held::of_others(all()).expect("the same");
        assert!(Arc::ptr_eq(&names, &differing(&other, &snapshot).0), "it is not looked for again");
        let mut elsewhere = Cache::new();
        let elsewhere = (0..100).fold(elsewhere.publish(), |_, at| write(&mut elsewhere, at, &body(at)));
        assert_eq!(differing(&held, &elsewhere).1, [""; 0], "another catalog");
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
