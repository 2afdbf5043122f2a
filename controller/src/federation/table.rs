//! A table that is filled on one side and read on others: readers are woken, and each asks what changed since it last did.
//!
//! One piece on [`tokio::sync::watch`] for all that rooms of this folder tell each other by key. Who does not keep up is told to
//! look at everything, so nothing grows with a slow reader.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use rollcall_catalog::persistent::{Ring, ring};
use tokio::sync::watch;

/// Rows by key. Clones are the same.
#[derive(Debug)]
pub struct Table<K, V>(watch::Sender<Rows<K, V>>);

/// Reads a [`Table`].
#[derive(Debug)]
pub struct Reader<K, V> {
    rows: watch::Receiver<Rows<K, V>>,
    /// The revision that it has looked at; `None` before the first time.
    seen: Option<u64>,
}

/// What a reader has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News<K> {
    /// These keys: their rows are others, new or gone.
    Keys(BTreeSet<K>),
    /// Everything.
    All,
}

#[derive(Debug)]
struct Rows<K, V> {
    rows: BTreeMap<K, V>,
    /// Which keys changed of late.
    changed: Ring<K>,
    revision: u64,
    /// All rows that there were at the beginning are in.
    complete: bool,
}

/// Changed keys that are remembered for slow readers.
const CHANGES_MAX: usize = 65_536;

// === impl Table ===

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        let changed = Ring::new(CHANGES_MAX);
        Self(watch::Sender::new(Rows { rows: BTreeMap::new(), changed, revision: 0, complete: false }))
    }
}

impl<K: Ord + Clone, V> Table<K, V> {
    /// One row.
    pub fn get(&self, key: &K) -> Option<V>
    where
        V: Clone,
    {
        self.with(|rows| rows.get(key).cloned())
    }

    /// Looks at the rows. Nothing of this table may be called meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&BTreeMap<K, V>) -> T) -> T {
        look(&self.0.borrow().rows)
    }

    /// The keys of all rows.
    pub fn keys(&self) -> BTreeSet<K> {
        self.with(|rows| rows.keys().cloned().collect())
    }

    /// Another row for a key; `None`: none. What stands already wakes nobody.
    pub fn put(&self, key: &K, row: Option<V>)
    where
        V: PartialEq,
    {
        self.0.send_if_modified(|table| {
            if table.rows.get(key) == row.as_ref() {
                return false;
            }
            match row {
                Some(row) => _ = table.rows.insert(key.clone(), row),
                None => _ = table.rows.remove(key),
            }
            table.note(vec![key.clone()]);
            true
        });
    }

    /// Makes another row of the one that stands, or takes it out. Whoever waits is woken, whatever came of it.
    pub fn alter(&self, key: &K, alter: impl FnOnce(Option<V>) -> Option<V>) {
        self.0.send_modify(|table| {
            if let Some(row) = alter(table.rows.remove(key)) {
                table.rows.insert(key.clone(), row);
            }
            table.note(vec![key.clone()]);
        });
    }

    /// Changes a row, which begins empty, in the same way.
    pub fn change(&self, key: &K, change: impl FnOnce(&mut V))
    where
        V: Default,
    {
        self.alter(key, |row| {
            let mut row = row.unwrap_or_default();
            change(&mut row);
            Some(row)
        });
    }

    /// All rows that there were at the beginning are in.
    pub fn complete(&self) {
        self.0.send_if_modified(|table| !std::mem::replace(&mut table.complete, true));
    }

    /// Whether they are.
    pub fn is_complete(&self) -> bool {
        self.0.borrow().complete
    }

    /// A reader, for whom everything is new.
    pub fn follow(&self) -> Reader<K, V> {
        Reader { rows: self.0.subscribe(), seen: None }
    }
}

// === impl Reader ===

impl<K: Ord + Clone, V> Reader<K, V> {
    /// Waits for something that it has not looked at.
    pub async fn changed(&mut self) {
        if self.rows.changed().await.is_err() {
            std::future::pending::<()>().await; // who filled it is gone, and so are changes
        }
    }

    /// Waits until all rows of the beginning are in.
    pub async fn complete(&mut self) {
        if self.rows.wait_for(|table| table.complete).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What is new since the last time.
    pub fn news(&mut self) -> News<K> {
        let table = self.rows.borrow_and_update();
        let Some(seen) = self.seen.replace(table.revision) else { return News::All };
        match table.changed.since(seen, table.revision) {
            ring::Changes::None => News::Keys(BTreeSet::new()),
            ring::Changes::Keys(keys) => News::Keys(keys.cloned().collect()),
            ring::Changes::Resync => News::All,
        }
    }
}

// === impl News ===

impl<K: Ord> News<K> {
    /// Adds the keys to `all`, which are those of everything where everything is new.
    pub fn into_keys(self, all: impl FnOnce() -> BTreeSet<K>) -> BTreeSet<K> {
        match self {
            Self::Keys(keys) => keys,
            Self::All => all(),
        }
    }
}

// === impl Rows ===

impl<K, V> Rows<K, V> {
    fn note(&mut self, keys: Vec<K>) {
        self.revision += 1;
        self.changed.push(self.revision, keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_reader_is_told_what_changed_since_it_last_looked() {
        let table = Table::<u32, &str>::default();
        table.put(&1, Some("a"));
        let (mut early, mut late) = (table.follow(), table.follow());
        assert_eq!((early.news(), late.news()), (News::All, News::All));
        table.put(&2, Some("b"));
        table.put(&2, Some("b"));
        early.changed().await;
        assert_eq!(early.news(), News::Keys(BTreeSet::from([2])));
        assert_eq!(early.news(), News::Keys(BTreeSet::new()));
        table.put(&1, None);
        assert_eq!(late.news(), News::Keys(BTreeSet::from([1, 2])));
        assert_eq!(table.keys(), BTreeSet::from([2]));
    }

    #[tokio::test]
    async fn what_stands_already_is_no_news_and_who_is_far_behind_looks_at_all() {
        let table = Table::<u32, u32>::default();
        let mut reader = table.follow();
        reader.news();
        for round in 0..10_000 {
            table.put(&(round % 10), Some(round));
        }
        assert_eq!(reader.news(), News::All);
        table.put(&9, Some(9_999));
        assert!(!reader.rows.has_changed().expect("it is there"));
        table.complete();
        reader.complete().await;
        assert!(table.is_complete());
    }
}
