//! Content versions: a hash of a canonical encoding, equal on every replica and after every restart.

use std::fmt;
use std::net::IpAddr;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::model::Port;

/// The version of some content. Equal content has an equal version; a change of content changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// Hashes fields one after the other, each framed by its length, so that no two different sequences read the same.
///
/// Fields are a few bytes each, and the hash is made for long runs: they are gathered first, and most of what is hashed
/// fits in one run.
#[derive(Clone)]
pub struct Digest {
    gathered: Vec<u8>,
    /// What was hashed before that, where it was more than one run.
    hashed: Option<Box<Xxh3>>,
}

/// Bytes of one run.
const RUN: usize = 16_384;
/// Bytes that a service of a few endpoints comes to.
const MOST: usize = 2048;

// === impl Version ===

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

// === impl Digest ===

impl Default for Digest {
    fn default() -> Self {
        Self { gathered: Vec::with_capacity(MOST), hashed: None }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Digest").field(&self.finish()).finish()
    }
}

impl Digest {
    /// Adds a string.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes())
    }

    /// Adds a string that is given in parts, as if they were one.
    pub fn joined<const N: usize>(&mut self, parts: [&str; N]) -> &mut Self {
        self.number(parts.iter().map(|part| part.len() as u64).sum());
        parts.iter().for_each(|part| _ = self.bytes(part.as_bytes()));
        self
    }

    /// Adds a string that may be absent; absent differs from empty.
    pub fn maybe(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.flag(true).text(text),
            None => self.flag(false),
        }
    }

    /// Adds a number, such as the length of the list that follows.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    /// Adds a yes or no.
    pub fn flag(&mut self, flag: bool) -> &mut Self {
        self.bytes(&[u8::from(flag)])
    }

    /// Adds an address.
    pub fn ip(&mut self, ip: IpAddr) -> &mut Self {
        match ip {
            IpAddr::V4(v4) => self.number(4).bytes(&v4.octets()),
            IpAddr::V6(v6) => self.number(16).bytes(&v6.octets()),
        }
    }

    /// Adds a list of ports.
    pub fn ports(&mut self, ports: &[Port]) -> &mut Self {
        self.number(ports.len() as u64);
        for port in ports {
            self.text(&port.name).number(port.number.into()).number(port.protocol as u64);
            self.maybe(port.app_protocol.as_deref());
        }
        self
    }

    /// The version of all that was added.
    pub fn finish(&self) -> Version {
        Version(match &self.hashed {
            None => xxh3_64(&self.gathered),
            Some(hashed) => {
                let mut hashed = hashed.clone();
                hashed.update(&self.gathered);
                hashed.digest()
            }
        })
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= RUN {
            self.hashed.get_or_insert_default().update(&self.gathered);
            self.gathered.clear();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_framed() {
        let ab_c = Digest::default().text("ab").text("c").finish();
        let a_bc = Digest::default().text("a").text("bc").finish();
        assert_ne!(ab_c, a_bc);
        assert_ne!(Digest::default().maybe(None).finish(), Digest::default().maybe(Some("")).finish());
    }

    #[test]
    fn versions_are_the_same_in_every_build() {
        // Written down, not computed: a changed value would make every watcher see every object as changed.
        assert_eq!(Digest::default().text("shop").number(7).finish().to_string(), "1fb43701d4e5eedf");
    }

    #[test]
    fn what_is_longer_than_one_run_is_hashed_as_a_whole() {
        let (mut digest, mut whole) = (Digest::default(), Vec::new());
        for number in 0..3 * RUN as u64 / 8 {
            if number % 61 == 0 {
                assert_eq!(digest.finish(), Version(xxh3_64(&whole)), "after {number}");
            }
            digest.number(number);
            whole.extend(number.to_le_bytes());
        }
    }

    #[test]
    fn a_text_in_parts_is_that_text() {
        let (whole, parts) =
            (Digest::default().text("a/b").finish(), Digest::default().joined(["a", "/", "b"]).finish());
        assert_eq!(whole, parts);
    }
}
