//! Addresses of some of a service's endpoints: of those with one label, with a tag, or in a zone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::asked::Asked;
use super::{A, Answering, PLACES};
use crate::zone::record::{Places, Record};

// === impl Answering ===

impl Answering<'_> {
    /// `None` for the other way: where there are so many that a choice of them takes room.
    pub(super) fn some(&mut self, asked: &Asked<'_>, record: &Record, some: &Places) -> Option<bool> {
        let mut places = [0; PLACES];
        let count = self.rng.fill(&mut places, some.len(), self.most.saturating_mul(4))?;
        let addresses = places[..count].iter().flat_map(|at| {
            let endpoint = some.get(usize::from(*at)).and_then(|place| record.instance(place));
            endpoint.into_iter().flat_map(|endpoint| endpoint.addresses.iter())
        });
        // As the other way sorts them: by their bytes.
        if asked.rtype == A {
            let mut found = [Ipv4Addr::UNSPECIFIED; PLACES];
            let v4 = |address: IpAddr| if let IpAddr::V4(v4) = address { Some(v4) } else { None };
            let len = collect(addresses.filter_map(v4), &mut found)?;
            self.write_some(asked, &mut found[..len])
        } else {
            let mut found = [Ipv6Addr::UNSPECIFIED; PLACES];
            let v6 = |address: IpAddr| if let IpAddr::V6(v6) = address { Some(v6) } else { None };
            let len = collect(addresses.filter_map(v6), &mut found)?;
            self.write_some(asked, &mut found[..len])
        }
    }

    /// Some of a list.
    pub(super) fn addresses<T: Copy + Into<IpAddr>>(&mut self, asked: &Asked<'_>, list: &[T]) -> Option<bool> {
        let (mut places, ttl) = ([0; PLACES], self.zone.ttl());
        let count = self.rng.fill(&mut places, list.len(), self.most)?;
        for place in &places[..count] {
            if !self.writer.address(asked, list[usize::from(*place)].into(), ttl) {
                break;
            }
        }
        Some(count > 0)
    }

    fn write_some<T: Copy + Into<IpAddr>>(&mut self, asked: &Asked<'_>, found: &mut [T]) -> Option<bool> {
        let chosen = self.rng.shuffle(found, self.most);
        let ttl = self.zone.ttl();
        for address in &found[..chosen] {
            if !self.writer.address(asked, (*address).into(), ttl) {
                break;
            }
        }
        Some(chosen > 0)
    }
}

/// Sorted, each once, at the beginning of `found`: how many. `None` when there is no room.
fn collect<T: Copy + Ord>(addresses: impl Iterator<Item = T>, found: &mut [T]) -> Option<usize> {
    let mut len = 0;
    for address in addresses {
        *found.get_mut(len)? = address;
        len += 1;
    }
    let found = &mut found[..len];
    found.sort_unstable();
    let mut distinct = 0;
    for at in 0..len {
        if distinct == 0 || found[distinct - 1] != found[at] {
            found[distinct] = found[at];
            distinct += 1;
        }
    }
    Some(distinct)
}
