//! Reads blocks of fields (RFC 7541 §6).

use std::ops::Range;

use super::{
    huffman, known, numbers,
    table::{Entry, Table},
};

/// Reads the blocks of a connection, in the order in which they come.
pub(crate) struct Decoder {
    table: Table,
    /// What the encoder may make of the table.
    limit: usize,
}

/// What is wrong with a block. The table cannot be told from here on: the connection ends with `COMPRESSION_ERROR`
/// (RFC 9113 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// RFC 7541 §2.3.3.
    #[error("field {0} is in no table; the encoder and we differ in what it has added")]
    Index(usize),
    /// It ends within a field.
    #[error("the block ends within a field")]
    Truncated,
    /// RFC 7541 §5.1 leaves the largest number to us.
    #[error("a number has more than 32 bits")]
    Number,
    /// RFC 7541 §5.2.
    #[error("a Huffman-coded string is not filled up with less than an octet of ones")]
    Padding,
    /// RFC 7541 §5.2.
    #[error("a Huffman-coded string contains the code of its end")]
    End,
    /// RFC 7541 §6.3.
    #[error("the encoder wants a table of {bytes} bytes, the limit is {limit}")]
    Size {
        /// What it wants.
        bytes: usize,
        /// What it may have.
        limit: usize,
    },
    /// RFC 7541 §4.2.
    #[error("the size of the table changes after a field; it may only at the beginning of a block")]
    Late,
}

/// What is left of a block.
struct Block<'b> {
    rest: &'b [u8],
    /// The strings of a field that do not stand in the block as they are.
    plain: Vec<u8>,
}

/// A string of a field.
enum Text<'b> {
    AsIs(&'b [u8]),
    /// Where it is in what was decoded.
    Decoded(Range<usize>),
}

/// Whether a field goes into the table.
#[derive(Clone, Copy)]
enum Indexing {
    Added,
    Passing,
}

// === impl Decoder ===

impl Decoder {
    /// With an empty table of at most `table_bytes` as RFC 7541 §4.1 counts them: 4,096, until the peer has acknowledged
    /// something else.
    pub(crate) fn new(table_bytes: usize) -> Self {
        Self { table: Table::new(table_bytes), limit: table_bytes }
    }

    /// The peer has acknowledged this `SETTINGS_HEADER_TABLE_SIZE`: it may ask for no larger table from here on. Its encoder makes the
    /// one that is there smaller (RFC 7541 §4.2); one that does not heed the setting, as Go's before 1.20, is understood all the same.
    pub(crate) fn limit(&mut self, table_bytes: usize) {
        self.limit = table_bytes;
    }

    /// Reads a whole block, and calls `each` with the name and value of every field, in their order.
    ///
    /// An octet of the block may stand for a field as large as the table: who counts what `each` is told bounds a list, and who
    /// bounds blocks bounds the work.
    pub(crate) fn decode(&mut self, block: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Broken> {
        let mut block = Block { rest: block, plain: Vec::new() };
        while let Some(0x20..=0x3f) = block.rest.first() {
            self.resize(block.number(5)?)?;
        }
        while let Some(first) = block.rest.first() {
            match first {
                0x80.. => {
                    let (name, value) = self.field(block.number(7)?)?;
                    each(name, value);
                }
                0x40..=0x7f => self.literal(&mut block, 6, Indexing::Added, each)?,
                0x20..=0x3f => return Err(Broken::Late),
                // Not added now, or by nobody ever: we pass nothing on.
                0x00..=0x1f => self.literal(&mut block, 4, Indexing::Passing, each)?,
            }
        }
        Ok(())
    }

    /// A field that is written down, or at least its value. The index of its name has so many bits.
    fn literal(
        &mut self,
        block: &mut Block<'_>,
        bits: u32,
        indexing: Indexing,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), Broken> {
        block.plain.clear();
        let name = match block.number(bits)? {
            0 => block.text()?,
            index => Text::AsIs(self.field(index)?.0),
        };
        let value = block.text()?;
        let (name, value) = (block.read(name), block.read(value));
        each(name, value);
        match indexing {
            // A copy before anything is evicted: the name may be of an entry that goes for this one (RFC 7541 §4.4).
            Indexing::Added => self.table.add(Entry::of(name, value)),
            Indexing::Passing => {}
        }
        Ok(())
    }

    fn field(&self, index: usize) -> Result<(&[u8], &[u8]), Broken> {
        match index.checked_sub(known::LAST + 1) {
            None => known::field(index),
            Some(newer) => self.table.field(newer),
        }
        .ok_or(Broken::Index(index))
    }

    fn resize(&mut self, bytes: usize) -> Result<(), Broken> {
        if bytes > self.limit {
            return Err(Broken::Size { bytes, limit: self.limit });
        }
        self.table.resize(bytes);
        Ok(())
    }
}

// === impl Block ===

impl<'b> Block<'b> {
    fn number(&mut self, bits: u32) -> Result<usize, Broken> {
        numbers::take(&mut self.rest, bits)
    }

    /// A string (RFC 7541 §5.2).
    fn text(&mut self) -> Result<Text<'b>, Broken> {
        let coded = self.rest.first().is_some_and(|first| first & 0x80 != 0);
        let len = self.number(7)?;
        let (text, rest) = self.rest.split_at_checked(len).ok_or(Broken::Truncated)?;
        self.rest = rest;
        if !coded {
            return Ok(Text::AsIs(text));
        }
        let from = self.plain.len();
        huffman::decode(text, &mut self.plain)?;
        Ok(Text::Decoded(from..self.plain.len()))
    }

    fn read<'t>(&'t self, text: Text<'t>) -> &'t [u8] {
        match text {
            Text::AsIs(text) => text,
            Text::Decoded(range) => &self.plain[range],
        }
    }
}

/// Without what stands in the table: tokens may.
impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
