//! Content versions.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// What a resource says, as a hash of its encoded body: equal on every replica and after every restart, never a counter
/// (contour #6250, cilium #31061). Shown as 16 hex digits. Zero is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(u64);

// === impl Version ===

impl Version {
    /// Stands for "some version that is not ours", such as one that a client brought from another server.
    pub(crate) const FOREIGN: Self = Self(0);

    /// The version of an encoded body.
    pub fn of(body: &[u8]) -> Self {
        Self(xxh3_64(body).max(1))
    }

    /// The version of several together, in their order.
    pub(crate) fn of_all(versions: impl Iterator<Item = Self>) -> Self {
        let bytes: Vec<_> = versions.flat_map(|version| version.0.to_be_bytes()).collect();
        Self::of(&bytes)
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::read(text.as_bytes())
    }

    /// The same out of bytes.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let digits: &[u8; 16] = text.try_into().ok()?;
        let mut value = 0;
        for digit in digits {
            let digit = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            value = value << 4 | u64::from(digit);
        }
        (value != 0).then_some(Self(value))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
