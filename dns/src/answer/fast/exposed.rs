//! Services that are reached from outside the cluster.

use std::net::{IpAddr, Ipv4Addr};

use super::asked::Asked;
use super::{A, AAAA, Answering, PLACES, SRV};
use crate::zone::record::Record;

// === impl Answering ===

impl Answering<'_> {
    /// A service out there, or one of its ports. `None` for the other way: ports that lead to names.
    pub(super) fn exposed(&mut self, asked: &Asked<'_>, record: &Record, port: Option<usize>) -> Option<bool> {
        let exposed = record.exposed()?;
        match (asked.rtype, port, exposed.alias()) {
            (SRV, ..) if !exposed.names.is_empty() => None,
            (SRV, ..) => {
                let own = if port.is_some() { 2 } else { 0 };
                self.numbers(asked, own, exposed.numbers(port), &exposed.addresses)
            }
            (_, None, Some(target)) => self.alias(asked, target),
            (A | AAAA, None, None) => self.outward(asked, &exposed.addresses),
            _ => Some(false),
        }
    }

    fn outward(&mut self, asked: &Asked<'_>, addresses: &[IpAddr]) -> Option<bool> {
        let (mut found, mut len) = ([IpAddr::V4(Ipv4Addr::UNSPECIFIED); PLACES], 0);
        for address in addresses.iter().filter(|address| address.is_ipv4() == (asked.rtype == A)) {
            *found.get_mut(len)? = *address;
            len += 1;
        }
        let chosen = self.rng.shuffle(&mut found[..len], self.most);
        let ttl = self.zone.ttl();
        for address in &found[..chosen] {
            if !self.writer.address(asked, *address, ttl) {
                break;
            }
        }
        Some(chosen > 0)
    }
}
