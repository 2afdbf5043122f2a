//! Names from addresses: `in-addr.arpa` and `ip6.arpa`.
//!
//! As CoreDNS without `fallthrough`, the server is the authority for both reverse trees: an address that the catalog does
//! not know is NXDOMAIN. A name that is only the beginning of an address is answered as existing and empty, whether or
//! not an address below it is known: a resolver that asks label by label (RFC 9156) and believes in NXDOMAIN (RFC 8020)
//! would otherwise stop there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Family;
use crate::zone::Zone;
use crate::zone::node::Node;

/// What the labels below a reverse zone spell.
#[derive(Debug, PartialEq, Eq)]
enum Spelling {
    Zone,
    Prefix,
    Address(IpAddr),
    Nonsense,
}

// === impl Zone ===

impl Zone {
    /// `labels` are those below the family's tree, in lower case.
    pub(super) fn reverse_node(&self, family: Family, labels: &[&[u8]]) -> Node {
        let spelling = match family {
            Family::V4 => spelled_v4(labels),
            Family::V6 => spelled_v6(labels),
        };
        match spelling {
            Spelling::Zone => Node::Apex,
            Spelling::Prefix => Node::Empty,
            Spelling::Nonsense => Node::Missing,
            Spelling::Address(address) => {
                let told = self.holders.get(&address).filter(|holders| !holders.told().is_empty());
                told.map_or(Node::Missing, |holders| Node::Address(address, holders))
            }
        }
    }
}

fn spelled_v4(labels: &[&[u8]]) -> Spelling {
    let mut octets = [0; 4];
    if labels.len() > octets.len() {
        return Spelling::Nonsense;
    }
    for (octet, label) in octets.iter_mut().zip(labels.iter().rev()) {
        match decimal(label) {
            Some(value) => *octet = value,
            None => return Spelling::Nonsense,
        }
    }
    match labels.len() {
        0 => Spelling::Zone,
        4 => Spelling::Address(Ipv4Addr::from(octets).into()),
        _ => Spelling::Prefix,
    }
}

fn spelled_v6(labels: &[&[u8]]) -> Spelling {
    let mut address = 0_u128;
    if labels.len() > 32 {
        return Spelling::Nonsense;
    }
    for label in labels.iter().rev() {
        match label {
            [digit] => match char::from(*digit).to_digit(16) {
                Some(nibble) => address = address << 4 | u128::from(nibble),
                None => return Spelling::Nonsense,
            },
            _ => return Spelling::Nonsense,
        }
    }
    match labels.len() {
        0 => Spelling::Zone,
        32 => Spelling::Address(Ipv6Addr::from(address).into()),
        _ => Spelling::Prefix,
    }
}

/// An octet as RFC 1035 §3.5 writes it, without leading zeros.
fn decimal(label: &[u8]) -> Option<u8> {
    let plain = label.iter().all(u8::is_ascii_digit) && (label.len() == 1 || label.first() != Some(&b'0'));
    std::str::from_utf8(label).ok().filter(|_| plain)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(name: &str) -> Spelling {
        spelled_v4(&name.split_terminator('.').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn reverse_names_are_spelled_exactly() {
        assert_eq!(v4("4.0.1.10"), Spelling::Address("10.1.0.4".parse().unwrap()));
        assert_eq!(v4(""), Spelling::Zone);
        assert_eq!(v4("1.10"), Spelling::Prefix);
        for nonsense in ["256.0.1.10", "04.0.1.10", "+4.0.1.10", "x.10", "9.4.0.1.10"] {
            assert_eq!(v4(nonsense), Spelling::Nonsense, "{nonsense}");
        }
    }

    #[test]
    fn nibbles_are_read_from_the_right() {
        let name = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f";
        let labels: Vec<_> = name.split('.').map(str::as_bytes).collect();
        assert_eq!(spelled_v6(&labels), Spelling::Address("fd00::1".parse().unwrap()));
        assert_eq!(spelled_v6(&labels[4..]), Spelling::Prefix);
        assert_eq!(spelled_v6(&[b"g"]), Spelling::Nonsense);
        assert_eq!(spelled_v6(&[b"10"]), Spelling::Nonsense);
        assert_eq!(spelled_v6(&[b"0".as_slice(); 33]), Spelling::Nonsense);
    }
}
