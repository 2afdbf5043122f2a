//! How many answers a network gets over UDP: who forges addresses is not to have this server flood them.
//!
//! Each network has a place in a table of a fixed size, by a secret hash, and in it the time at which it will have caught up with what
//! it was given (the generic cell rate algorithm). Two that share a place share its rate.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// Half a megabyte.
const PLACES: usize = 1 << 16;
/// So long a network may ask at once what it would get in that time.
const BURST: Duration = Duration::from_secs(1);
/// One of so many answers too many leaves cut, without records: who is no forgery asks again over TCP.
const SLIP: u64 = 2;

/// The rates of all networks, shared by all workers.
#[derive(Debug)]
pub struct Rates {
    begin: Instant,
    /// Between two answers, in nanoseconds.
    interval: u64,
    places: Box<[AtomicU64]>,
    hasher: RandomState,
    too_many: AtomicU64,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is sent.
    Sent,
    /// It says no more than to ask over TCP.
    Cut,
    /// It is not sent.
    Dropped,
}

// === impl Rates ===

impl Rates {
    /// So many answers a second for each network.
    pub fn new(per_second: u32, now: Instant) -> Self {
        let interval = 1_000_000_000 / u64::from(per_second.max(1));
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { begin: now, interval, places, hasher: RandomState::new(), too_many: AtomicU64::new(0) }
    }

    /// Takes one answer for the network of an address.
    pub fn take(&self, address: IpAddr, now: Instant) -> Turn {
        let now = u64::try_from(now.duration_since(self.begin).as_nanos()).unwrap_or(u64::MAX);
        // The remainder is below the number of places, a usize.
        let place = &self.places[(self.hasher.hash_one(network(address)) % PLACES as u64) as usize];
        let burst = BURST.as_nanos() as u64;
        let taken = place.fetch_update(Relaxed, Relaxed, |caught_up| {
            let after = caught_up.max(now) + self.interval;
            (after <= now.saturating_add(burst)).then_some(after)
        });
        match taken {
            Ok(_) => Turn::Sent,
            Err(_) if self.too_many.fetch_add(1, Relaxed).is_multiple_of(SLIP) => Turn::Cut,
            Err(_) => Turn::Dropped,
        }
    }
}

/// The first 24 bits of IPv4, 56 of IPv6: what one site has.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits() >> 8),
        // Not that of an IPv4 address, whose high bits are 0.
        IpAddr::V6(address) => (address.to_bits() >> 72) as u64 | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(rates: &Rates, address: &str, count: usize, now: Instant) -> usize {
        (0..count).filter(|_| rates.take(address.parse().unwrap(), now) == Turn::Sent).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_gets_its_rate_and_every_second_of_the_others_is_cut() {
        let now = Instant::now();
        let rates = Rates::new(10, now);
        assert_eq!(turns(&rates, "192.0.2.1", 10, now), 10);
        let further: Vec<_> = (0..4).map(|_| rates.take("192.0.2.200".parse().unwrap(), now)).collect();
        assert_eq!(further, [Turn::Cut, Turn::Dropped, Turn::Cut, Turn::Dropped]);
        assert_eq!(turns(&rates, "192.0.2.1", 10, now + Duration::from_millis(500)), 5);
        assert_eq!(turns(&rates, "192.0.2.1", 30, now + Duration::from_secs(60)), 10);
    }

    #[test]
    fn networks_are_those_of_a_site() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(
            same("192.0.2.1", "192.0.2.9") && !same("192.0.2.1", "192.0.3.1") && same("192.0.2.1", "::ffff:192.0.2.7")
        );
        assert!(same("2001:db8::1", "2001:db8:0:ff::9") && !same("2001:db8::1", "2001:db8:0:100::1"));
    }
}
