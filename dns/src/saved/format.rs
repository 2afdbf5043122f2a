//! The bytes of a file, and why some are refused. Pure.
//!
//! ```text
//! magic 8 | format u32 | whole u8 | unix time u64 | entries ... | 0 u8 | number of entries u64 | checksum u64
//! entry: type u8 | length of name u16 | of version u16 | of value u32 | name | version | value
//! ```
//!
//! Numbers are little-endian. The checksum (XXH3, 64 bits) is of all before it: it finds what disks and copies do to a
//! file, not what somebody does on purpose, who could as well replace the program.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use rollcall_xds::client::Upsert;
use rollcall_xds::resource::ResourceType;
use xxhash_rust::xxh3::Xxh3;

/// What a file begins with.
const MAGIC: [u8; 8] = *b"RCDNS\r\n\0";
/// What is written. A change of it is another number, which versions before do not read: what is in such files comes from a
/// controller again.
pub const FORMAT: u32 = 2;
/// The first format that is read: it is the same without machines.
const FORMAT_MIN: u32 = 1;
/// Bytes of the checksum.
pub const CHECKSUM_BYTES: u64 = 8;
/// Bytes before the entries.
const HEADER_BYTES: u64 = 21;
/// Longest value that is read: what a stream accepts as one message.
const VALUE_BYTES_MAX: u32 = 64 << 20;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Something else.
    #[error("it is no snapshot of rollcall-dns")]
    Foreign,
    /// Of another version of this program.
    #[error("it is of format {0}, and this version of rollcall-dns reads formats {FORMAT_MIN} to {FORMAT}")]
    Format(u32),
    /// Its end is missing.
    #[error("it was cut off")]
    Truncated,
    /// It is not what was written.
    #[error("it was damaged: its checksum is wrong")]
    Checksum,
    /// Larger than the bound.
    #[error("it has {0} bytes, more than the {max} that are read", max = super::FILE_BYTES_MAX)]
    TooLarge(u64),
    /// The server that wrote it had not been sent everything.
    #[error("it was written before the whole catalog had come")]
    Partial,
    /// Its checksum is right, but what it says is not.
    #[error("it contradicts itself: {0}")]
    Broken(&'static str),
}

/// One resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its type, one of [`super::TYPES`].
    pub ty: ResourceType,
    /// As it came.
    pub resource: Upsert,
}

/// Writes a file.
#[derive(Debug)]
pub struct Writer<W> {
    out: Hashing<W>,
    entries: u64,
}

/// Reads a file, entry by entry.
#[derive(Debug)]
pub struct Reader<R> {
    from: Hashing<R>,
    entries: u64,
    /// Whether everything that there was is in it.
    pub whole: bool,
    /// When it was written, in unix seconds.
    pub unix_time: u64,
}

struct Hashing<T> {
    inner: T,
    hash: Xxh3,
    bytes: u64,
}

// === impl Writer ===

impl<W: Write> Writer<W> {
    /// Begins a file of `unix_time`, in seconds; `whole` when everything that there is will be in it.
    pub fn new(out: W, whole: bool, unix_time: u64) -> io::Result<Self> {
        let mut out = Hashing::new(out);
        out.write_all(&MAGIC)?;
        out.write_all(&FORMAT.to_le_bytes())?;
        out.write_all(&[u8::from(whole)])?;
        out.write_all(&unix_time.to_le_bytes())?;
        Ok(Self { out, entries: 0 })
    }

    /// Adds a resource. One that no stream can bring, because it is longer than such names and values are, is an error.
    pub fn add(&mut self, ty: ResourceType, name: &str, version: &str, value: &[u8]) -> io::Result<()> {
        let long = |_| io::Error::new(io::ErrorKind::InvalidInput, "a name, version or value is too long");
        let code = super::TYPES.iter().position(|one| *one == ty).map_or(0, |at| at + 1);
        let code = u8::try_from(code).ok().filter(|code| *code > 0);
        let code = code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "of no type that is kept"))?;
        self.out.write_all(&[code])?;
        self.out.write_all(&u16::try_from(name.len()).map_err(long)?.to_le_bytes())?;
        self.out.write_all(&u16::try_from(version.len()).map_err(long)?.to_le_bytes())?;
        self.out.write_all(&u32::try_from(value.len()).map_err(long)?.to_le_bytes())?;
        for part in [name.as_bytes(), version.as_bytes(), value] {
            self.out.write_all(part)?;
        }
        self.entries += 1;
        Ok(())
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.out.bytes
    }

    /// Ends the file; gives back what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0])?;
        self.out.write_all(&self.entries.to_le_bytes())?;
        let sum = self.out.hash.digest();
        self.out.inner.write_all(&sum.to_le_bytes())?;
        self.out.inner.flush()?;
        Ok(self.out.inner)
    }
}

// === impl Reader ===

impl<R: Read> Reader<R> {
    /// Reads the header.
    pub fn new(from: R) -> Result<Self, FormatError> {
        let mut from = Hashing::new(from);
        let magic = from.array::<8>()?;
        if magic != MAGIC {
            return Err(FormatError::Foreign);
        }
        let format = u32::from_le_bytes(from.array()?);
        if !(FORMAT_MIN..=FORMAT).contains(&format) {
            return Err(FormatError::Format(format));
        }
        let [whole] = from.array()?;
        let unix_time = u64::from_le_bytes(from.array()?);
        Ok(Self { from, entries: 0, whole: whole == 1, unix_time })
    }

    /// The next entry; `None` at the end, when number and checksum have been found right.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, FormatError> {
        let [code] = self.from.array()?;
        if code == 0 {
            return self.end().map(|()| None);
        }
        let ty = *super::TYPES.get(usize::from(code) - 1).ok_or(FormatError::Broken("a type that there is not"))?;
        let name = u16::from_le_bytes(self.from.array()?);
        let version = u16::from_le_bytes(self.from.array()?);
        let value = u32::from_le_bytes(self.from.array()?);
        if value > VALUE_BYTES_MAX {
            return Err(FormatError::Broken("a value that no stream brings"));
        }
        let name = self.from.text(name)?;
        let version = self.from.text(version)?;
        let value = Bytes::from(self.from.bytes(value.into())?);
        self.entries += 1;
        Ok(Some(Entry { ty, resource: Upsert { name, version, value } }))
    }

    fn end(&mut self) -> Result<(), FormatError> {
        let entries = u64::from_le_bytes(self.from.array()?);
        let sum = self.from.hash.digest();
        let written = u64::from_le_bytes(self.from.array()?);
        if sum != written {
            return Err(FormatError::Checksum);
        }
        if entries != self.entries {
            return Err(FormatError::Broken("another number of entries"));
        }
        match self.from.inner.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(FormatError::Broken("something behind its end")),
        }
    }
}

/// Whether all of a file of `len` bytes is as it was written: the header, then the checksum, before anything in it is
/// believed.
pub fn verify(from: impl Read, len: u64) -> Result<(), FormatError> {
    if len > super::FILE_BYTES_MAX {
        return Err(FormatError::TooLarge(len));
    }
    let mut from = Reader::new(from)?.from;
    let body = len.checked_sub(HEADER_BYTES + CHECKSUM_BYTES).ok_or(FormatError::Truncated)?;
    let (mut left, mut buffer) = (body, vec![0; 64 << 10]);
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        from.read_exact(&mut buffer[..want]).map_err(cut_off)?;
        left -= want as u64;
    }
    let sum = from.hash.digest();
    let written = u64::from_le_bytes(from.array()?);
    if sum == written { Ok(()) } else { Err(FormatError::Checksum) }
}

fn cut_off(error: io::Error) -> FormatError {
    if error.kind() == io::ErrorKind::UnexpectedEof { FormatError::Truncated } else { FormatError::Io(error) }
}

// === impl Hashing ===

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: Xxh3::new(), bytes: 0 }
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Hashing<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hashing").field("inner", &self.inner).field("bytes", &self.bytes).finish()
    }
}

impl<W: Write> Hashing<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.inner.write_all(bytes)
    }
}

impl<R: Read> Hashing<R> {
    fn read_exact(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(into)?;
        self.hash.update(into);
        self.bytes += into.len() as u64;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        self.read_exact(&mut array).map_err(cut_off)?;
        Ok(array)
    }

    /// As many bytes as are said, without room for those that do not come.
    fn bytes(&mut self, len: u64) -> Result<Vec<u8>, FormatError> {
        let mut bytes = Vec::new();
        let read = (&mut self.inner).take(len).read_to_end(&mut bytes)?;
        if read as u64 != len {
            return Err(FormatError::Truncated);
        }
        self.hash.update(&bytes);
        self.bytes += len;
        Ok(bytes)
    }

    fn text(&mut self, len: u16) -> Result<Arc<str>, FormatError> {
        let text = String::from_utf8(self.bytes(len.into())?);
        text.map(Arc::from).map_err(|_| FormatError::Broken("a name that is no text"))
    }
}

#[cfg(test)]
mod tests;
