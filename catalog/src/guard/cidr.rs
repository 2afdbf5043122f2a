//! Blocks of addresses in prefix notation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A block of addresses in prefix notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    first: IpAddr,
    prefix: u8,
}

/// A text that is not a block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address block; write it as ADDRESS/PREFIX, such as 10.244.0.0/16 or fd00::/8")]
pub struct InvalidCidr(pub String);

// === impl Cidr ===

impl Cidr {
    /// Whether `ip` is in this block. An IPv4 block holds no IPv6 address and the other way round.
    pub fn contains(self, ip: IpAddr) -> bool {
        self.first.is_ipv4() == ip.is_ipv4() && self.leading() == leading(ip, self.prefix)
    }

    /// The length of its prefix in bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Its leading bits, as a number.
    pub(super) fn leading(self) -> u128 {
        leading(self.first, self.prefix)
    }

    /// Whether it is of IPv4.
    pub(super) fn is_v4(self) -> bool {
        self.first.is_ipv4()
    }

    /// Its first and last address.
    pub fn range(self) -> RangeInclusive<IpAddr> {
        match self.first {
            IpAddr::V4(first) => {
                let host = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                let low = first.to_bits() & !host;
                Ipv4Addr::from_bits(low).into()..=Ipv4Addr::from_bits(low | host).into()
            }
            IpAddr::V6(first) => {
                let host = u128::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                let low = first.to_bits() & !host;
                Ipv6Addr::from_bits(low).into()..=Ipv6Addr::from_bits(low | host).into()
            }
        }
    }
}

/// The first `prefix` bits of an address, as a number.
pub(super) fn leading(ip: IpAddr, prefix: u8) -> u128 {
    let (bits, width) = match ip {
        IpAddr::V4(v4) => (v4.to_bits().into(), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    u128::checked_shr(bits, width - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let invalid = || InvalidCidr(text.to_owned());
        let (ip, prefix) = text.trim().split_once('/').ok_or_else(invalid)?;
        let first: IpAddr = ip.parse().map_err(|_| invalid())?;
        let prefix: u8 = prefix.parse().map_err(|_| invalid())?;
        let width = if first.is_ipv4() { 32 } else { 128 };
        if prefix > width { Err(invalid()) } else { Ok(Self { first, prefix }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_parsed_or_named() {
        assert!("10.0.0.0/33".parse::<Cidr>().is_err());
        assert_eq!("10.0.0.0".parse::<Cidr>(), Err(InvalidCidr("10.0.0.0".into())));
        let all: Cidr = "::/0".parse().expect("a block");
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(all.contains(ip("2001:db8::1")) && !all.contains(ip("10.0.0.1")));
    }

    #[test]
    fn a_block_goes_from_its_first_address_to_its_last() {
        for (block, first, last) in [
            ("10.1.2.3/8", "10.0.0.0", "10.255.255.255"),
            ("10.1.2.3/32", "10.1.2.3", "10.1.2.3"),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
            ("fd00::7/64", "fd00::", "fd00::ffff:ffff:ffff:ffff"),
            ("fd00::7/128", "fd00::7", "fd00::7"),
        ] {
            let range = block.parse::<Cidr>().expect("a block").range();
            assert_eq!((range.start().to_string(), range.end().to_string()), (first.to_owned(), last.to_owned()));
        }
    }
}
