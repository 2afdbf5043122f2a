//! Which services have an address that another cluster gave. There may be millions of those, and next to none is ever asked
//! for, since it is in nobody's own ranges: each costs a few bytes, and who of the service has it is looked up when it is asked for.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::sorted::Sorted;
use crate::hashed::HashMap;
use crate::model::ServiceKey;

/// How often each (address, service) was added.
#[derive(Debug, Default)]
pub(super) struct Imported {
    /// The number of each service, and how many addresses have it.
    services: HashMap<Arc<ServiceKey>, (u32, usize)>,
    numbers: Vec<Option<Arc<ServiceKey>>>,
    free: Vec<u32>,
    /// The address, and in the lower half the number.
    v4: Sorted<u64>,
    v6: Sorted<(u128, u32)>,
    /// How often beyond once.
    again: HashMap<(IpAddr, u32), usize>,
}

// === impl Imported ===

impl Imported {
    pub(super) fn add(&mut self, ip: IpAddr, service: &Arc<ServiceKey>) {
        let number = self.number(service);
        let new = match ip {
            IpAddr::V4(v4) => self.v4.insert(joined(v4.to_bits(), number)),
            IpAddr::V6(v6) => self.v6.insert((v6.to_bits(), number)),
        };
        match new {
            true => _ = self.services.entry(Arc::clone(service)).and_modify(|(_, count)| *count += 1),
            false => *self.again.entry((ip, number)).or_default() += 1,
        }
    }

    pub(super) fn remove(&mut self, ip: IpAddr, service: &Arc<ServiceKey>) {
        let Some((number, count)) = self.services.get_mut(service) else { return };
        let number = *number;
        if let Some(more) = self.again.get_mut(&(ip, number)) {
            *more -= 1;
            if *more == 0 {
                self.again.remove(&(ip, number));
            }
            return;
        }
        let was = match ip {
            IpAddr::V4(v4) => self.v4.remove(joined(v4.to_bits(), number)),
            IpAddr::V6(v6) => self.v6.remove((v6.to_bits(), number)),
        };
        *count -= usize::from(was);
        if *count == 0 {
            self.services.remove(service);
            self.numbers[number as usize] = None;
            self.free.push(number);
        }
    }

    /// The services that have an address of a range, each once.
    pub(super) fn within(&self, ips: &RangeInclusive<IpAddr>) -> Vec<Arc<ServiceKey>> {
        let numbers: BTreeSet<u32> = match (ips.start(), ips.end()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let range = joined(first.to_bits(), 0)..=joined(last.to_bits(), u32::MAX);
                self.v4.range(range).map(|entry| (entry & u64::from(u32::MAX)) as u32).collect()
            }
            (first, last) => {
                let bits = |ip: &IpAddr| match ip {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
                    IpAddr::V6(v6) => Ipv6Addr::to_bits(*v6),
                };
                self.v6.range((bits(first), 0)..=(bits(last), u32::MAX)).map(|(_, number)| number).collect()
            }
        };
        numbers.into_iter().filter_map(|number| self.numbers.get(number as usize)?.clone()).collect()
    }

    fn number(&mut self, service: &Arc<ServiceKey>) -> u32 {
        if let Some((number, _)) = self.services.get(service) {
            return *number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.numbers.push(None);
            // More services than that have no room in memory.
            u32::try_from(self.numbers.len() - 1).unwrap_or(u32::MAX)
        });
        self.numbers[number as usize] = Some(Arc::clone(service));
        self.services.insert(Arc::clone(service), (number, 0));
        number
    }
}

fn joined(ip: u32, number: u32) -> u64 {
    u64::from(ip) << 32 | u64::from(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_was_added_twice_is_there_until_it_was_removed_twice() {
        let mut all = Imported::default();
        let [a, b] = ["a", "b"].map(|name| Arc::new(ServiceKey::new("shop", name)));
        for (address, service) in
            [("10.0.0.1", &a), ("10.0.0.1", &a), ("10.0.0.1", &b), ("10.0.0.9", &b), ("fd00::1", &a)]
        {
            all.add(ip(address), service);
        }
        let of = |all: &Imported, first: &str, last: &str| all.within(&(ip(first)..=ip(last)));
        assert_eq!(of(&all, "10.0.0.1", "10.0.0.1"), [Arc::clone(&a), Arc::clone(&b)]);
        assert_eq!(of(&all, "10.0.0.2", "10.0.0.255"), [Arc::clone(&b)]);
        assert_eq!(of(&all, "fd00::", "fd00::ffff"), [Arc::clone(&a)]);
        all.remove(ip("10.0.0.1"), &a);
        assert_eq!(of(&all, "10.0.0.0", "10.0.0.1").len(), 2);
        all.remove(ip("10.0.0.1"), &a);
        all.remove(ip("fd00::1"), &a);
        assert_eq!(of(&all, "0.0.0.0", "255.255.255.255"), [Arc::clone(&b)]);
        // Its number is another's from now on.
        let c = Arc::new(ServiceKey::new("shop", "c"));
        all.add(ip("10.0.0.2"), &c);
        assert_eq!((of(&all, "10.0.0.2", "10.0.0.2"), all.numbers.len()), (vec![c], 2));
        all.remove(ip("10.0.0.3"), &b);
        assert_eq!(of(&all, "10.0.0.9", "10.0.0.9"), [b]);
    }
}
