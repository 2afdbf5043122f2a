//! What an endpoint is called within its origin. Most that other clusters tell of are called by their addresses, and there may be
//! millions of them: that text is made when somebody asks for it.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::ops::Deref;

use super::Name;

/// The name of an endpoint; it reads as text.
#[derive(Clone, Debug)]
pub enum EndpointName<'a> {
    /// Its origin says one.
    Said(&'a Name),
    /// Its first address.
    Address(AddressText),
}

/// An address as it is written.
#[derive(Clone, Debug)]
pub struct AddressText {
    bytes: [u8; LEN_MAX],
    len: usize,
}

/// Eight groups of IPv6.
const LEN_MAX: usize = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".len();

// === impl EndpointName ===

impl EndpointName<'_> {
    /// To be kept.
    pub fn to_name(&self) -> Name {
        match self {
            Self::Said(name) => Name::clone(name),
            Self::Address(_) => Name::from(&**self),
        }
    }
}

impl Deref for EndpointName<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Said(name) => name,
            Self::Address(text) => text,
        }
    }
}

impl fmt::Display for EndpointName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl PartialEq for EndpointName<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for EndpointName<'_> {}

impl PartialOrd for EndpointName<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EndpointName<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

// === impl AddressText ===

impl From<IpAddr> for AddressText {
    fn from(ip: IpAddr) -> Self {
        let mut text = Self { bytes: [0; LEN_MAX], len: 0 };
        // There is room for the longest.
        _ = write!(text, "{ip}");
        text
    }
}

impl Deref for AddressText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl fmt::Write for AddressText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_ever() {
        for text in ["10.1.0.4", "255.255.255.255", "::", "::ffff:255.255.255.255", "fd00:1::7"] {
            let ip: IpAddr = text.parse().expect("an address");
            let name = EndpointName::Address(ip.into());
            assert_eq!((&*name, &*name.to_name(), name.to_string()), (text, text, ip.to_string()));
        }
        let longest: IpAddr = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().expect("an address");
        assert_eq!(*AddressText::from(longest), longest.to_string());
    }

    #[test]
    fn names_are_alike_by_their_text() {
        let (said, ip) = (Name::from("10.1.0.4"), "10.1.0.4".parse::<IpAddr>().expect("an address"));
        assert_eq!(EndpointName::Said(&said), EndpointName::Address(ip.into()));
        assert!(EndpointName::Said(&"10.1.0.5".into()) > EndpointName::Address(ip.into()));
    }
}
