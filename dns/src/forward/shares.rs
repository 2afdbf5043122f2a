//! Who may have how many of the seats for questions under way: nobody takes those of all. Pure.
//!
//! A client, and the names below a domain, may each hold a multiple of the seats that are still *free* (dynamic
//! thresholds, as switches share their buffers). One that is alone has most of them; however many are greedy at once, a
//! newcomer finds some.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use hickory_proto::rr::Name;

/// The seats.
#[derive(Debug)]
pub struct Shares {
    max: usize,
    taken: usize,
    held: HashMap<Holder, usize>,
}

/// Who holds seats.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Holder {
    /// By address; by network of one link with IPv6 (RFC 4291 §2.5.4): one machine has as many addresses there as it
    /// likes.
    Client(IpAddr),
    /// Names that end alike, by their last labels, on the wire and in lower case.
    Domain(Box<[u8]>),
}

/// What one question holds, to be given back.
#[derive(Debug)]
pub struct Seat(Vec<Holder>);

/// Why there is no seat for a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// All are taken.
    Seats,
    /// Its client has its share.
    Client,
    /// Names of its domain have theirs.
    Domain,
}

/// What may be held for each free seat, in halves. A forwarder in front of this server is one client.
const CLIENT: usize = 8;
/// By how many labels are looked at: a top-level domain may be most of what is asked, one below is a half, and one
/// deeper, which may be a registration of its own, a third.
const DOMAINS: [usize; 3] = [8, 2, 1];

// === impl Shares ===

impl Shares {
    /// So many seats, all of them free.
    pub fn new(max: usize) -> Self {
        Self { max, taken: 0, held: HashMap::new() }
    }

    /// A seat for a question.
    pub fn take(&mut self, client: IpAddr, name: &Name) -> Result<Seat, Shortage> {
        let free = self.max.saturating_sub(self.taken);
        if free == 0 {
            return Err(Shortage::Seats);
        }
        let client = Holder::Client(network(client));
        if !self.may_take(&client, free, CLIENT) {
            return Err(Shortage::Client);
        }
        let domains: Vec<_> = domains(name).map(Holder::Domain).collect();
        if !domains.iter().zip(DOMAINS).all(|(domain, halves)| self.may_take(domain, free, halves)) {
            return Err(Shortage::Domain);
        }
        self.taken += 1;
        let mut holders = domains;
        holders.push(client);
        holders.iter().for_each(|holder| *self.held.entry(holder.clone()).or_default() += 1);
        Ok(Seat(holders))
    }

    /// Gives a seat back.
    pub fn give_back(&mut self, seat: Seat) {
        self.taken = self.taken.saturating_sub(1);
        for holder in seat.0 {
            if let Some(held) = self.held.get_mut(&holder) {
                *held -= 1;
                if *held == 0 {
                    self.held.remove(&holder);
                }
            }
        }
    }

    /// One that holds nothing may always have its first.
    fn may_take(&self, holder: &Holder, free: usize, halves: usize) -> bool {
        let held = self.held.get(holder).copied().unwrap_or(0);
        held == 0 || 2 * held < free.saturating_mul(halves)
    }
}

/// The last one, two and three labels of a name, in so far as it has them.
fn domains(name: &Name) -> impl Iterator<Item = Box<[u8]>> {
    let labels: Vec<&[u8]> = name.iter().collect();
    let count = labels.len();
    (1..=DOMAINS.len().min(count)).map(move |depth| {
        let mut wire = Vec::new();
        for label in &labels[count - depth..] {
            wire.push(label.len() as u8); // at most 63 (RFC 1035 §2.3.4)
            wire.extend(label.to_ascii_lowercase());
        }
        wire.into()
    })
}

fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    /// Takes seats for names below a domain, from many clients, until there is none.
    fn fill(shares: &mut Shares, domain: &str) -> Vec<Seat> {
        let name = |n: u32| Name::from_ascii(format!("n{n}.{domain}")).unwrap();
        (0..5000_u32).map_while(|n| shares.take(IpAddr::from(n.to_be_bytes()), &name(n)).ok()).collect()
    }

    #[test]
    fn names_of_dead_domains_leave_seats_for_others_however_many_there_are() {
        let mut shares = Shares::new(1024);
        let mut held = Vec::new();
        for (n, domain) in ["dead.example.", "dead.co.test.", "gone.invalid.", "silent.org."].iter().enumerate() {
            let seats = fill(&mut shares, domain);
            assert!(!seats.is_empty() && seats.len() <= 512, "{domain}: {}", seats.len());
            held.extend(seats);
            let other = Name::from_ascii(format!("www.other{n}.com.")).unwrap();
            let seat = shares.take(client(1), &other).unwrap_or_else(|why| panic!("after {domain}: {why:?}"));
            shares.give_back(seat);
            // The same domain by its name alone is no way around.
            assert!(shares.take(client(2), &Name::from_ascii(format!("n0.{domain}")).unwrap()).is_err());
        }
        held.into_iter().for_each(|seat| shares.give_back(seat));
        assert_eq!((shares.taken, shares.held.len()), (0, 0));
    }

    #[test]
    fn hosts_of_a_dead_top_level_domain_leave_seats_as_well() {
        let mut shares = Shares::new(1024);
        let _held = fill(&mut shares, "corp.");
        assert!(shares.take(client(1), &Name::from_ascii("www.example.com.").unwrap()).is_ok());
    }

    #[test]
    fn a_client_that_is_alone_has_most_and_never_all() {
        let mut shares = Shares::new(100);
        let name = |n: u32| Name::from_ascii(format!("n.d{n}.t{n}.")).unwrap();
        let held: Vec<_> = (0..200).map_while(|n| shares.take(client(1), &name(n)).ok()).collect();
        assert!((70..100).contains(&held.len()), "{}", held.len());
        assert_eq!(shares.take(client(1), &name(500)).unwrap_err(), Shortage::Client);
        assert!(shares.take(client(2), &name(500)).is_ok());
        // One machine has 2^64 addresses of one network.
        let mut shares = Shares::new(100);
        let address = |n: u32| Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | u128::from(n)).into();
        let held: Vec<_> = (0..200).map_while(|n| shares.take(address(n), &name(n)).ok()).collect();
        assert!(held.len() < 100, "{}", held.len());
    }

    #[test]
    fn few_seats_are_shared_as_well() {
        let mut shares = Shares::new(1);
        let seat = shares.take(client(1), &Name::root()).unwrap();
        assert_eq!(shares.take(client(2), &Name::root()).unwrap_err(), Shortage::Seats);
        shares.give_back(seat);
        assert!(shares.take(client(2), &Name::root()).is_ok());
    }
}
