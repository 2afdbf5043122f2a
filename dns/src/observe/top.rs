//! Who asks most, and for what: the most frequent of any number of things, in bounded room (Metwally, Agrawal and El Abbadi 2005).

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt::Write;
use std::hash::Hash;
use std::net::IpAddr;

use super::SAMPLED;

/// Things that are counted at once, of each kind.
const KEPT: usize = 512;
/// So many are shown.
const SHOWN: usize = 30;
/// After so many seconds counts are halved: what was is worth less than what is.
const HALVED_EACH_S: u32 = 300;

/// The counts.
#[derive(Debug, Default)]
pub struct Top {
    names: Counts<String>,
    denied: Counts<String>,
    clients: Counts<IpAddr>,
    halved_s: u32,
}

#[derive(Debug)]
struct Counts<T> {
    all: HashMap<T, u64>,
    /// Nothing that was left out has come more often.
    floor: u64,
}

impl<T> Default for Counts<T> {
    fn default() -> Self {
        Self { all: HashMap::new(), floor: 0 }
    }
}

// === impl Top ===

impl Top {
    /// Counts a query of the sample, at `now_s` seconds since the epoch, which may wrap.
    pub fn count(&mut self, name: &str, client: IpAddr, denied: bool, now_s: u32) {
        if now_s.wrapping_sub(self.halved_s) >= HALVED_EACH_S {
            self.halved_s = now_s;
            self.names.halve();
            self.denied.halve();
            self.clients.halve();
        }
        self.names.add(name);
        if denied {
            self.denied.add(name);
        }
        self.clients.add(&client);
    }

    /// The first of each kind, at most so many, each with about how many queries that were, of the sample and of the others.
    pub fn first(&self, most: usize) -> [(&'static str, Vec<(String, u64)>); 3] {
        [("name", self.names.first(most)), ("denied", self.denied.first(most)), ("client", self.clients.first(most))]
    }

    /// The first of each kind.
    pub fn page(&self) -> String {
        let mut page = format!("counts of one query in {SAMPLED}, halved every {HALVED_EACH_S} s\n");
        self.names.show("names", &mut page);
        self.denied.show("names that do not exist", &mut page);
        self.clients.show("clients", &mut page);
        page
    }
}

// === impl Counts ===

impl<T: Hash + Eq + Clone + Ord + std::fmt::Display> Counts<T> {
    fn add<Q>(&mut self, thing: &Q)
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = T> + ?Sized,
    {
        if let Some(count) = self.all.get_mut(thing) {
            *count += 1;
            return;
        }
        if self.all.len() >= KEPT {
            self.leave_out();
        }
        // As if it had been among those that were left out: a thing is never counted less than it came.
        self.all.insert(thing.to_owned(), self.floor + 1);
    }

    /// Makes room: the rarer half goes, at once, so that a thing that comes for the first time seldom costs more than its place.
    fn leave_out(&mut self) {
        let mut counts: Vec<u64> = self.all.values().copied().collect();
        let (_, middle, _) = counts.select_nth_unstable(KEPT / 2);
        self.floor = *middle;
        // Of those that came as often as the one in the middle any may stay.
        let mut stay = KEPT / 2 - self.all.values().filter(|count| **count > self.floor).count();
        self.all.retain(|_, count| {
            let is_one = *count == self.floor && stay > 0;
            stay -= usize::from(is_one);
            is_one || *count > self.floor
        });
    }

    fn halve(&mut self) {
        self.floor /= 2;
        self.all.retain(|_, count| {
            *count /= 2;
            *count > 0
        });
    }

    fn in_order(&self) -> Vec<(&T, &u64)> {
        let mut all: Vec<_> = self.all.iter().collect();
        all.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        all
    }

    fn first(&self, most: usize) -> Vec<(String, u64)> {
        let all = self.in_order().into_iter().take(most);
        all.map(|(thing, count)| (thing.to_string(), count * u64::from(SAMPLED))).collect()
    }

    fn show(&self, title: &str, page: &mut String) {
        // Writing to a String does not fail.
        let _ = writeln!(page, "\n{title}");
        for (thing, count) in self.in_order().into_iter().take(SHOWN) {
            let _ = writeln!(page, "{count:>10} {thing}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frequent_stay_among_any_number_of_rare_ones_and_the_room_is_bounded() {
        let (mut top, client) = (Top::default(), IpAddr::from([10, 0, 0, 1]));
        for n in 0..20_000 {
            top.count(&format!("rare-{n}."), IpAddr::from([10, 9, (n >> 8) as u8, n as u8]), true, 1);
            top.count("often.", client, false, 1);
        }
        assert!(top.names.all.len() <= KEPT && top.denied.all.len() <= KEPT && top.clients.all.len() <= KEPT);
        let page = top.page();
        let first =
            |title: &str| page.split_once(&format!("\n{title}\n")).unwrap().1.lines().next().unwrap().trim().to_owned();
        assert_eq!((first("names"), first("clients")), ("20000 often.".to_owned(), "20000 10.0.0.1".to_owned()));
        assert!(first("names that do not exist").contains("rare-"));
        top.count("new.", client, false, 1 + HALVED_EACH_S);
        assert!(top.page().contains("10000 often."), "{}", top.page());
    }
}
