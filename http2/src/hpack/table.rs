//! The fields that an encoder has added (RFC 7541 §2.3.2), the newest first. Those that do not fit any more go, the oldest first.

use std::collections::VecDeque;

/// What an entry counts beside its octets (RFC 7541 §4.1).
const ENTRY_BYTES: usize = 32;

/// It has no memory while it is empty, as that of most connections is for ever.
pub(super) struct Table {
    entries: VecDeque<Entry>,
    /// Of all entries together, as the standard counts them.
    bytes: usize,
    bytes_max: usize,
}

/// A field: its name and value in one piece.
pub(super) struct Entry {
    field: Box<[u8]>,
    name_len: usize,
}

// === impl Table ===

impl Table {
    /// An empty one, of at most so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Name and value of the entry that so many newer ones precede.
    pub(super) fn field(&self, newer: usize) -> Option<(&[u8], &[u8])> {
        self.entries.get(newer).map(|entry| entry.field.split_at(entry.name_len))
    }

    /// Adds a field. One that is larger than the whole table leaves it empty (RFC 7541 §4.4).
    pub(super) fn add(&mut self, entry: Entry) {
        let bytes = entry.bytes();
        self.shrink(self.bytes_max.saturating_sub(bytes));
        if bytes <= self.bytes_max {
            self.bytes += bytes;
            self.entries.push_front(entry);
        }
    }

    /// May have so many bytes from here on (RFC 7541 §4.3).
    pub(super) fn resize(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
        self.shrink(bytes_max);
    }

    /// Evicts entries until the others have no more than so many bytes.
    fn shrink(&mut self, bytes: usize) {
        while self.bytes > bytes
            && let Some(oldest) = self.entries.pop_back()
        {
            self.bytes -= oldest.bytes();
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn of(name: &[u8], value: &[u8]) -> Self {
        Self { field: [name, value].concat().into(), name_len: name.len() }
    }

    fn bytes(&self) -> usize {
        self.field.len() + ENTRY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(bytes_max: usize, names: &[&str]) -> Table {
        let mut table = Table::new(bytes_max);
        names.iter().for_each(|name| table.add(Entry::of(name.as_bytes(), b"value")));
        table
    }

    fn names(table: &Table) -> Vec<&str> {
        (0..).map_while(|newer| table.field(newer)).map(|(name, _)| str::from_utf8(name).expect("text")).collect()
    }

    #[test]
    fn the_newest_is_first_and_the_oldest_goes() {
        let mut table = table(3 * 40, &["one", "two", "six"]);
        assert_eq!((names(&table), table.bytes), (vec!["six", "two", "one"], 120));
        assert_eq!(table.field(1), Some((&b"two"[..], &b"value"[..])));
        table.add(Entry::of(b"four", b"value"));
        assert_eq!((names(&table), table.bytes), (vec!["four", "six"], 81), "one byte too many costs two entries");
    }

    #[test]
    fn what_is_larger_than_the_table_empties_it_and_its_memory_goes() {
        let mut table = table(100, &["one", "two"]);
        table.add(Entry::of(&[b'n'; 69], b""));
        assert_eq!((names(&table), table.bytes, table.entries.capacity()), (vec![], 0, 0));
        table.add(Entry::of(&[b'n'; 68], b""));
        assert_eq!((table.entries.len(), table.bytes), (1, 100), "as large as the table");
    }

    #[test]
    fn a_smaller_table_keeps_the_newest() {
        let mut table = table(4096, &["one", "two", "six"]);
        table.resize(81);
        assert_eq!((names(&table), table.bytes), (vec!["six", "two"], 80));
        table.resize(0);
        assert_eq!((names(&table), table.bytes, table.entries.capacity()), (vec![], 0, 0));
        table.add(Entry::of(b"", b""));
        assert_eq!((names(&table), table.entries.capacity()), (vec![], 0), "there is no room for anything");
        table.resize(40);
        table.add(Entry::of(b"one", b"value"));
        assert_eq!(names(&table), ["one"]);
    }
}
