//! The address guard: which addresses a registration may not claim.
//!
//! Whoever may create a ServiceRegistration chooses where callers of that Service connect to. Without a guard that
//! re-opens CVE-2021-25740: steering traffic to addresses that the author could not reach himself.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::model::Name;

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

/// What registrations may not claim, beside the addresses that no EndpointSlice may hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    reserved: Vec<Reserved>,
    allowed: Vec<(Name, Cidr)>,
}

/// A block that belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reserved {
    /// The block.
    pub block: Cidr,
    /// Whose it is, as a noun phrase: "the pods of node-a", "the Services of this cluster".
    pub owner: Name,
}

/// Why an address was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 0.0.0.0 or ::.
    Unspecified,
    /// 127.0.0.0/8 or ::1: the caller's own machine.
    Loopback,
    /// 169.254.0.0/16 or fe80::/10: reachable from its own link only, and where clouds keep instance credentials.
    LinkLocal,
    /// An address for many.
    Multicast,
    /// Inside a block of the cluster itself.
    Reserved(Reserved),
}

// === impl Guard ===

impl Guard {
    /// A guard of `reserved` blocks, with exceptions that hold for one namespace each.
    pub fn new(mut reserved: Vec<Reserved>, allowed: Vec<(Name, Cidr)>) -> Self {
        reserved.sort_unstable();
        reserved.dedup();
        Self { reserved, allowed }
    }

    /// The reserved blocks and the exceptions that it was made of.
    pub fn into_parts(self) -> (Vec<Reserved>, Vec<(Name, Cidr)>) {
        (self.reserved, self.allowed)
    }

    /// Whether a registration in `namespace` may claim `ip`.
    ///
    /// # Errors
    /// The reason for which it may not. Loopback and link-local addresses are never allowed: the API server refuses
    /// EndpointSlices that hold them.
    pub fn check(&self, namespace: &str, ip: IpAddr) -> Result<(), Refusal> {
        if let Some(refusal) = special(ip) {
            return Err(refusal);
        }
        if self.allowed.iter().any(|(allowed, block)| &**allowed == namespace && block.contains(ip)) {
            return Ok(());
        }
        match self.reserved.iter().find(|reserved| reserved.block.contains(ip)) {
            Some(reserved) => Err(Refusal::Reserved(reserved.clone())),
            None => Ok(()),
        }
    }
}

/// The rules of `ValidateNonSpecialIP` in the API server's discovery validation, which hold for every EndpointSlice.
fn special(ip: IpAddr) -> Option<Refusal> {
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    if ip.is_unspecified() {
        Some(Refusal::Unspecified)
    } else if ip.is_loopback() {
        Some(Refusal::Loopback)
    } else if link_local {
        Some(Refusal::LinkLocal)
    } else if ip.is_multicast() {
        Some(Refusal::Multicast)
    } else {
        None
    }
}

// === impl Cidr ===

impl Cidr {
    /// Whether `ip` is in this block. An IPv4 block holds no IPv6 address and the other way round.
    pub fn contains(self, ip: IpAddr) -> bool {
        match (self.first, ip) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => {
                masked(first.to_bits().into(), self.prefix, 32) == masked(ip.to_bits().into(), self.prefix, 32)
            }
            (IpAddr::V6(first), IpAddr::V6(ip)) => {
                masked(first.to_bits(), self.prefix, 128) == masked(ip.to_bits(), self.prefix, 128)
            }
            _ => false,
        }
    }
}

fn masked(bits: u128, prefix: u8, width: u8) -> u128 {
    bits.checked_shr(u32::from(width - prefix)).unwrap_or(0)
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

// === impl Refusal ===

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unspecified => f.write_str("is unspecified; give the address that the machine listens on"),
            Self::Loopback => f.write_str("is a loopback address; give one that other nodes can reach"),
            Self::LinkLocal => f.write_str("is link-local; give one that other nodes can reach"),
            Self::Multicast => f.write_str("is a multicast address; give the address of one machine"),
            Self::Reserved(Reserved { block, owner }) => write!(
                f,
                "is in {block}, which belongs to {owner}; give an address outside the cluster, or allow the block: with the \
                 chart's value controller.allowedCIDRs={{NAMESPACE: [{block}]}}, or the controller's flag --allow-cidr \
                 NAMESPACE={block}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn addresses_that_no_slice_may_hold_are_refused_everywhere() {
        let guard = Guard::new(vec![], vec![("shop".into(), "0.0.0.0/0".parse().expect("a block"))]);
        let refused = ["0.0.0.0", "127.0.0.1", "::1", "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1"]
            .map(|text| guard.check("shop", ip(text)));
        assert!(refused.iter().all(Result::is_err), "{refused:?}");
        assert_eq!(guard.check("shop", ip("198.51.100.7")), Ok(()));
    }

    #[test]
    fn a_block_of_the_cluster_is_refused_unless_allowed_for_that_namespace() {
        let pods =
            Reserved { block: "10.244.0.0/16".parse().expect("a block"), owner: "the pods of this cluster".into() };
        let guard = Guard::new(vec![pods.clone()], vec![("lab".into(), "10.244.9.0/24".parse().expect("a block"))]);
        assert_eq!(guard.check("shop", ip("10.244.9.1")), Err(Refusal::Reserved(pods.clone())));
        assert_eq!(guard.check("lab", ip("10.244.9.1")), Ok(()));
        assert_eq!(guard.check("lab", ip("10.244.8.1")), Err(Refusal::Reserved(pods)));
        assert_eq!(guard.check("shop", ip("10.245.0.1")), Ok(()));
    }

    #[test]
    fn blocks_are_parsed_or_named() {
        assert!("10.0.0.0/33".parse::<Cidr>().is_err());
        assert_eq!("10.0.0.0".parse::<Cidr>(), Err(InvalidCidr("10.0.0.0".into())));
        let all: Cidr = "::/0".parse().expect("a block");
        assert!(all.contains(ip("2001:db8::1")) && !all.contains(ip("10.0.0.1")));
    }
}
