//! Addresses that belong to nobody whom a caller could mean, or to the cloud below the cluster.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Refusal;
use crate::model::Addresses;

/// Where clouds answer with instance credentials, beside link-local ones: Alibaba Cloud, Azure's platform, Oracle
/// Cloud (of old), and, of IPv6, AWS, Google Cloud and Scaleway.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// Why an address may be claimed by nobody. The first four are the rules of `ValidateNonSpecialIP` in the API server's
/// discovery validation, which hold for every EndpointSlice.
pub(super) fn special(ip: IpAddr) -> Option<Refusal> {
    let (link_local, metadata) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), METADATA_V4.contains(&v4)),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), METADATA_V6.contains(&v6)),
    };
    if ip.is_unspecified() {
        Some(Refusal::Unspecified)
    } else if ip.is_loopback() {
        Some(Refusal::Loopback)
    } else if link_local {
        Some(Refusal::LinkLocal)
    } else if ip.is_multicast() {
        Some(Refusal::Multicast)
    } else if metadata {
        Some(Refusal::Metadata)
    } else if is_of_no_host(ip) {
        Some(Refusal::NoHost)
    } else {
        None
    }
}

/// 0.0.0.0/8 and 240.0.0.0/4, with the broadcast address (RFC 6890 §2.2.2).
fn is_of_no_host(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240)
}

/// Each address, and what it carries.
pub(crate) fn all_of(addresses: Addresses) -> impl Iterator<Item = IpAddr> {
    addresses.iter().flat_map(|ip| [Some(ip), embedded(ip)]).flatten()
}

/// The IPv4 address that an IPv6 address carries: mapped (RFC 4291 §2.5.5.2), translated (RFC 6052, `64:ff9b::/96`) or
/// 6to4 (RFC 3056). Packets to the one end at the other.
pub(crate) fn embedded(ip: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = ip else { return None };
    let low = || Ipv4Addr::from_bits((v6.to_bits() & u128::from(u32::MAX)) as u32);
    let carried = match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => low(),
        [0x2002, high, low, ..] => Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)),
        _ => return None,
    };
    Some(carried.into())
}
