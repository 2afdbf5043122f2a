//! Content versions: a hash of a canonical encoding, equal on every replica and after every restart.

use std::fmt;
use std::net::IpAddr;

use xxhash_rust::xxh3::Xxh3;

use crate::model::Port;

/// The version of some content. Equal content has an equal version; a change of content changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// Hashes fields one after the other, each framed by its length, so that no two different sequences read the same.
#[derive(Clone, Default)]
pub struct Digest(Xxh3);

// === impl Version ===

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

// === impl Digest ===

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Digest").field(&self.finish()).finish()
    }
}

impl Digest {
    /// Adds a string.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
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
        self.0.update(&number.to_le_bytes());
        self
    }

    /// Adds a yes or no.
    pub fn flag(&mut self, flag: bool) -> &mut Self {
        self.0.update(&[u8::from(flag)]);
        self
    }

    /// Adds an address.
    pub fn ip(&mut self, ip: IpAddr) -> &mut Self {
        match ip {
            IpAddr::V4(v4) => self.number(4).0.update(&v4.octets()),
            IpAddr::V6(v6) => self.number(16).0.update(&v6.octets()),
        }
        self
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
        Version(self.0.digest())
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
}
