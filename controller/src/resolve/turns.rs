//! Which replica asks for a name, and whose answer counts for the others. Pure.
//!
//! The first in the order of rendezvous hashing asks, and tells the others what it found. Who ranks behind asks as well while
//! nobody before it says anything: the first may be cut off from the name servers, or about to be believed dead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use rollcall_catalog::model::Name;
use rollcall_health::membership::Standing;
use rollcall_health::owner;

/// What a replica says of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// All addresses that callers may be given.
    pub addresses: BTreeSet<IpAddr>,
    /// Why there is none, in plain words.
    pub words: String,
}

/// What this replica does about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// It asks.
    Ask,
    /// It takes what a peer says.
    Follow(Resolution),
    /// It asks at this time, unless somebody says something before.
    Wait(u64),
}

/// Who is there, and what each says.
#[derive(Debug)]
pub struct Turns {
    me: Name,
    standing: Standing,
    said: BTreeMap<Arc<str>, BTreeMap<Name, Resolution>>,
    /// Since when nobody who ranks before this replica has said anything of a name.
    silent_since_ms: BTreeMap<Arc<str>, u64>,
}

/// So long those behind wait for each one before them.
const WAIT_MS: u64 = 3_000;

// === impl Turns ===

impl Turns {
    /// As `me` sees it.
    pub fn new(me: Name, standing: Standing) -> Self {
        Self { me, standing, said: BTreeMap::new(), silent_since_ms: BTreeMap::new() }
    }

    /// The replicas stand otherwise.
    pub fn stand(&mut self, standing: Standing) {
        self.standing = standing;
    }

    /// A peer says this of a name, or nothing any more.
    pub fn heard(&mut self, from: &Name, host: &Arc<str>, says: Option<Resolution>) {
        if let Some(says) = says {
            self.said.entry(Arc::clone(host)).or_default().insert(Name::clone(from), says);
        } else if let Some(said) = self.said.get_mut(host) {
            said.remove(from);
            if said.is_empty() {
                self.said.remove(host);
            }
        }
    }

    /// A peer is gone, and all that it said with it. The names of which it spoke.
    pub fn gone(&mut self, peer: &Name) -> Vec<Arc<str>> {
        let spoken = self.said.iter().filter(|(_, said)| said.contains_key(peer));
        let spoken: Vec<_> = spoken.map(|(host, _)| Arc::clone(host)).collect();
        spoken.iter().for_each(|host| self.heard(peer, host, None));
        spoken
    }

    /// A name is not wanted any more.
    pub fn forget(&mut self, host: &str) {
        self.silent_since_ms.remove(host);
    }

    /// What to do about a name.
    pub fn course(&mut self, host: &str, now_ms: u64) -> Course {
        let ranked = owner::ranked(host, self.standing.live.iter().map(|name| &**name));
        // Who suspects itself is not among them, and asks last of all.
        let place = ranked.iter().position(|replica| **replica == *self.me).unwrap_or(ranked.len());
        if place == 0 {
            self.silent_since_ms.remove(host);
            return Course::Ask;
        }
        let said = self.said.get(host);
        let heard = |replica: &&&str| self.standing.heard.iter().any(|heard| **heard == ***replica);
        if let Some(says) = ranked[..place].iter().filter(heard).find_map(|replica| said?.get(*replica)) {
            let says = says.clone();
            self.silent_since_ms.remove(host);
            return Course::Follow(says);
        }
        let since_ms = *self.silent_since_ms.entry(host.into()).or_insert(now_ms);
        let until_ms = since_ms.saturating_add(WAIT_MS.saturating_mul(place as u64));
        if until_ms > now_ms { Course::Wait(until_ms) } else { Course::Ask }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "db.example.net";

    fn names(list: &[&str]) -> Arc<[Name]> {
        list.iter().map(|name| Name::from(*name)).collect()
    }

    /// As the replica at that place in rank of three sees it, with the two others, in rank.
    fn turns(place: usize) -> (Turns, Vec<Name>) {
        let ranked = owner::ranked(HOST, ["a", "b", "c"]);
        let me = ranked[place];
        let others: Vec<_> = ranked.iter().filter(|name| **name != me).copied().collect();
        let standing = Standing::of(names(&["a", "b", "c"]), names(&others));
        (Turns::new(me.into(), standing), others.into_iter().map(Name::from).collect())
    }

    fn says(address: &str) -> Resolution {
        Resolution { addresses: [address.parse().expect("an address")].into(), words: String::new() }
    }

    #[test]
    fn the_first_asks_and_the_others_take_its_word() {
        let (mut first, others) = turns(0);
        first.heard(&others[0], &HOST.into(), Some(says("198.51.100.1")));
        assert_eq!(first.course(HOST, 0), Course::Ask, "whatever those behind it say");
        let (mut second, others) = turns(1);
        assert_eq!(second.course(HOST, 1_000), Course::Wait(4_000));
        second.heard(&others[0], &HOST.into(), Some(says("198.51.100.1")));
        assert_eq!(second.course(HOST, 2_000), Course::Follow(says("198.51.100.1")));
    }

    #[test]
    fn while_nobody_before_it_says_anything_the_next_asks_in_order() {
        let (mut third, others) = turns(2);
        assert_eq!(third.course(HOST, 0), Course::Wait(6_000), "the second has had its turn by then");
        third.heard(&others[1], &HOST.into(), Some(says("198.51.100.2")));
        assert_eq!(third.course(HOST, 5_000), Course::Follow(says("198.51.100.2")));
        third.heard(&others[0], &HOST.into(), Some(says("198.51.100.1")));
        assert_eq!(third.course(HOST, 5_000), Course::Follow(says("198.51.100.1")), "the first again");
        assert_eq!(third.gone(&others[0]), [Arc::from(HOST)]);
        third.heard(&others[1], &HOST.into(), None);
        assert_eq!(third.course(HOST, 7_000), Course::Wait(13_000), "from when they fell silent");
        assert_eq!(third.course(HOST, 13_000), Course::Ask);
    }

    #[test]
    fn words_that_are_not_heard_any_more_and_a_replica_that_suspects_itself_do_not_count() {
        let (mut second, others) = turns(1);
        second.heard(&others[0], &HOST.into(), Some(says("198.51.100.1")));
        second.stand(Standing::of(names(&["a", "b", "c"]), names(&[])));
        assert_eq!(
            second.course(HOST, 0),
            Course::Wait(3_000),
            "its stream is broken: it may say something else by now"
        );
        let (mut suspicious, others) = turns(0);
        suspicious.stand(Standing::of(others.clone(), others.clone()));
        assert_eq!(suspicious.course(HOST, 0), Course::Wait(6_000));
        suspicious.heard(&others[0], &HOST.into(), Some(says("198.51.100.1")));
        assert_eq!(suspicious.course(HOST, 0), Course::Follow(says("198.51.100.1")));
        suspicious.stand(Standing::alone(&suspicious.me.clone()));
        assert_eq!(suspicious.course(HOST, 0), Course::Ask, "alone, it owns everything");
    }
}
