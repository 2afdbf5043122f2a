//! Which names are asked for when, and what is known of them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::turns::Resolution;

/// Names that registrations give, and what is known of them.
#[derive(Debug, Default)]
pub struct Hosts(BTreeMap<String, Host>);

#[derive(Debug)]
struct Host {
    addresses: BTreeSet<IpAddr>,
    /// What was said last where there is no address, or it failed.
    words: String,
    /// When it is asked for next; none while it is, or rests.
    due_ms: Option<u64>,
    is_asked: bool,
    /// Others ask for it.
    rests: bool,
    /// Whether a name server has said something of it since it began to be asked for here.
    was_answered: bool,
    /// Answers in a row without an address, and when the first of them came.
    absent_since_ms: Option<u64>,
    failures: u32,
}

/// What came of asking for the addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of IPv4 and of IPv6.
    pub families: [Family; 2],
}

/// What came of asking for one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Family {
    /// These addresses, for so many seconds.
    Found(BTreeSet<IpAddr>, u32),
    /// The name exists and has none.
    None(u32),
    /// The name does not exist.
    NoName(u32),
    /// Nobody said.
    Failed(String),
}

/// Of one name; what is more is left out, the largest first.
const ADDRESSES_MAX: usize = 16;
/// A TTL below counts as this one, so that a name costs no more than a question in so long.
const TTL_S_MIN: u32 = 5;
/// A TTL above counts as this one, so that a name that moved is noticed.
const TTL_S_MAX: u32 = 300;
/// After a failure it is tried again so soon, and then ever later up to half a minute.
const RETRY_MS: u64 = 1_000;
const RETRY_MS_MAX: u64 = 30_000;
/// So many failures in a row, and others are told nothing any more.
const FAILURES_MAX: u32 = 3;
/// A name that vanished keeps its addresses for so long: a zone that is being reloaded is empty for a moment.
const ABSENT_MS: u64 = 30_000;

// === impl Answer ===

impl Answer {
    /// Addresses of both families.
    #[cfg(test)]
    pub(crate) fn found(addresses: BTreeSet<IpAddr>, ttl_s: u32) -> Self {
        let (v4, v6) = addresses.into_iter().partition(IpAddr::is_ipv4);
        Self { families: [Family::Found(v4, ttl_s), Family::Found(v6, ttl_s)] }
    }
}

// === impl Hosts ===

impl Hosts {
    /// A name is wanted. One that is new is asked for at once, and starts from what an earlier process knew.
    pub fn want(&mut self, host: &str, known: impl FnOnce() -> BTreeSet<IpAddr>, now_ms: u64) {
        if self.0.contains_key(host) {
            return;
        }
        let words = "is being looked up".to_owned();
        let known = Host {
            addresses: known(),
            words,
            due_ms: Some(now_ms),
            is_asked: false,
            rests: false,
            was_answered: false,
            absent_since_ms: None,
            failures: 0,
        };
        self.0.insert(host.to_owned(), known);
    }

    /// This replica asks for it from now on: at once, if it did not before.
    pub fn ask(&mut self, host: &str, now_ms: u64) {
        if let Some(known) = self.0.get_mut(host).filter(|known| known.rests) {
            known.rests = false;
            known.due_ms = Some(now_ms).filter(|_| !known.is_asked);
        }
    }

    /// It is not asked for until [`Hosts::ask`]; what is known of it stands.
    pub fn rest(&mut self, host: &str) {
        if let Some(known) = self.0.get_mut(host) {
            (known.rests, known.due_ms, known.was_answered, known.failures) = (true, None, false, 0);
        }
    }

    /// The same, and this is known of it, by another replica. Whether it is something else than before.
    pub fn follow(&mut self, host: &str, says: Resolution) -> bool {
        self.rest(host);
        let Some(known) = self.0.get_mut(host) else { return false };
        known.absent_since_ms = None;
        let addresses: BTreeSet<_> = says.addresses.into_iter().take(ADDRESSES_MAX).collect();
        let before =
            (std::mem::replace(&mut known.addresses, addresses), std::mem::replace(&mut known.words, says.words));
        known.addresses != before.0 || (known.addresses.is_empty() && known.words != before.1)
    }

    /// What others may be told: none before a name server has said something, or while they fail for longer. Who asks behind
    /// this replica may reach them.
    pub fn says(&self, host: &str) -> Option<Resolution> {
        let known = self.0.get(host).filter(|known| known.was_answered && known.failures < FAILURES_MAX)?;
        Some(Resolution { addresses: known.addresses.clone(), words: known.words.clone() })
    }

    /// All names that are wanted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether a registration gives this name.
    pub fn is_wanted(&self, host: &str) -> bool {
        self.0.contains_key(host)
    }

    /// Forgets all others.
    pub fn keep(&mut self, wanted: &BTreeSet<&str>) {
        self.0.retain(|host, _| wanted.contains(host.as_str()));
    }

    /// The addresses of a name, in order.
    pub fn addresses(&self, host: &str) -> &BTreeSet<IpAddr> {
        static NONE: BTreeSet<IpAddr> = BTreeSet::new();
        self.0.get(host).map_or(&NONE, |known| &known.addresses)
    }

    /// How it is with a name, in plain words.
    pub fn words(&self, host: &str) -> String {
        match self.0.get(host) {
            Some(known) if !known.addresses.is_empty() => {
                known.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }
            Some(known) => known.words.clone(),
            None => "is not asked for".to_owned(),
        }
    }

    /// A name that is to be asked for now.
    pub fn due(&mut self, now_ms: u64) -> Option<String> {
        let due = self.0.iter_mut().find(|(_, known)| known.due_ms.is_some_and(|due_ms| due_ms <= now_ms));
        due.map(|(host, known)| {
            (known.due_ms, known.is_asked) = (None, true);
            host.clone()
        })
    }

    /// When the next one is.
    pub fn next_ms(&self) -> Option<u64> {
        self.0.values().filter_map(|known| known.due_ms).min()
    }

    /// Takes in an answer; whether what is known of the name is something else now.
    pub fn answered(&mut self, host: &str, answer: Answer, now_ms: u64) -> bool {
        let Some(known) = self.0.get_mut(host) else { return false };
        known.is_asked = false;
        if known.rests {
            return false;
        }
        let before = (known.addresses.clone(), known.words.clone());
        known.take_in(answer, now_ms);
        (&known.addresses, &known.words) != (&before.0, &before.1)
            && (known.addresses != before.0 || known.addresses.is_empty())
    }
}

// === impl Host ===

impl Host {
    fn take_in(&mut self, answer: Answer, now_ms: u64) {
        let mut addresses = BTreeSet::new();
        let (mut ttl_s, mut failed, mut no_name) = (TTL_S_MAX, None, false);
        for (family, is_v4) in answer.families.into_iter().zip([true, false]) {
            let of = match family {
                Family::Found(found, ttl) => {
                    addresses.extend(found);
                    ttl
                }
                Family::None(ttl) => ttl,
                Family::NoName(ttl) => {
                    no_name = true;
                    ttl
                }
                Family::Failed(why) => {
                    // What is not said again is not taken back.
                    addresses.extend(self.addresses.iter().filter(|ip| ip.is_ipv4() == is_v4));
                    failed = Some(why);
                    continue;
                }
            };
            ttl_s = ttl_s.min(of);
        }
        let ttl_ms = u64::from(ttl_s.clamp(TTL_S_MIN, TTL_S_MAX)) * 1000;
        self.was_answered |= failed.is_none();
        self.failures = if failed.is_some() { self.failures.saturating_add(1) } else { 0 };
        let retry_ms = RETRY_MS << self.failures.saturating_sub(1).min(5);
        self.due_ms = Some(now_ms + if failed.is_some() { retry_ms.min(RETRY_MS_MAX) } else { ttl_ms });
        if addresses.is_empty() {
            self.words = match failed {
                Some(why) => format!("cannot be resolved: {why}; it is tried again"),
                None if no_name => "does not exist (NXDOMAIN); correct the name, or add it to its zone".to_owned(),
                None => "has no address; add an A or AAAA record to its zone".to_owned(),
            };
            let since_ms = *self.absent_since_ms.get_or_insert(now_ms);
            if now_ms.saturating_sub(since_ms) < ABSENT_MS && !self.addresses.is_empty() {
                self.due_ms = Some(now_ms + u64::from(TTL_S_MIN) * 1000);
                return;
            }
        } else {
            self.absent_since_ms = None;
        }
        self.addresses = addresses.into_iter().take(ADDRESSES_MAX).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "db.example.net";

    fn ips(text: &str) -> BTreeSet<IpAddr> {
        text.split_whitespace().map(|ip| ip.parse().expect("an address")).collect()
    }

    fn hosts() -> Hosts {
        let mut hosts = Hosts::default();
        hosts.want(NAME, BTreeSet::new, 0);
        assert_eq!(hosts.due(0).as_deref(), Some(NAME));
        assert_eq!((hosts.due(0), hosts.next_ms()), (None, None), "once at a time");
        hosts
    }

    fn both(family: Family) -> Answer {
        Answer { families: [family.clone(), family] }
    }

    #[test]
    fn a_ttl_is_obeyed_within_bounds() {
        for (ttl_s, next_s) in [(0, 5), (60, 60), (86_400, 300)] {
            let mut hosts = hosts();
            assert!(hosts.answered(NAME, Answer::found(ips("198.51.100.1 2001:db8::1"), ttl_s), 1000));
            assert_eq!(hosts.next_ms(), Some(1000 + next_s * 1000));
            assert_eq!(hosts.words(NAME), "198.51.100.1, 2001:db8::1");
            hosts.due(u64::MAX);
            assert!(!hosts.answered(NAME, Answer::found(ips("198.51.100.1 2001:db8::1"), ttl_s), 2000), "no news");
        }
    }

    #[test]
    fn while_the_resolver_fails_the_last_answer_holds_for_the_family_that_fails() {
        let mut hosts = hosts();
        hosts.answered(NAME, Answer::found(ips("198.51.100.1 2001:db8::1"), 60), 0);
        for at_ms in [60_000, 600_000, 6_000_000] {
            assert!(!hosts.answered(NAME, both(Family::Failed("SERVFAIL".into())), at_ms));
            assert_eq!(*hosts.addresses(NAME), ips("198.51.100.1 2001:db8::1"));
        }
        let half = Answer { families: [Family::Found(ips("198.51.100.2"), 60), Family::Failed("no answer".into())] };
        assert!(hosts.answered(NAME, half, 7_000_000));
        assert_eq!(*hosts.addresses(NAME), ips("198.51.100.2 2001:db8::1"));
    }

    #[test]
    fn failures_are_tried_again_soon_and_then_less_often() {
        let mut hosts = hosts();
        let mut waits = Vec::new();
        for _ in 0..8 {
            hosts.answered(NAME, both(Family::Failed("no answer".into())), 0);
            waits.push(hosts.next_ms().expect("due") / 1000);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert!(hosts.words(NAME).contains("cannot be resolved: no answer"));
    }

    #[test]
    fn a_name_that_vanishes_is_believed_after_a_while_and_said() {
        let mut hosts = hosts();
        hosts.answered(NAME, Answer::found(ips("198.51.100.1"), 60), 0);
        assert!(!hosts.answered(NAME, both(Family::NoName(600)), 60_000));
        assert_eq!(hosts.next_ms(), Some(65_000), "looked at again soon");
        assert!(!hosts.answered(NAME, both(Family::NoName(600)), 65_000));
        assert_eq!(hosts.addresses(NAME).len(), 1);
        assert!(hosts.answered(NAME, both(Family::NoName(600)), 60_000 + ABSENT_MS));
        assert!(hosts.addresses(NAME).is_empty() && hosts.words(NAME).contains("NXDOMAIN"), "{}", hosts.words(NAME));
        assert!(hosts.answered(NAME, Answer::found(ips("198.51.100.2"), 60), 200_000), "and it comes back");
    }

    #[test]
    fn a_name_that_never_was_is_said_at_once_and_a_flood_of_addresses_is_cut() {
        let mut hosts = hosts();
        assert!(hosts.answered(NAME, both(Family::None(60)), 0));
        assert!(hosts.words(NAME).contains("A or AAAA"), "{}", hosts.words(NAME));
        let many = (0..200).map(|last| IpAddr::from([198, 51, 100, last])).collect();
        hosts.answered(NAME, Answer::found(many, 60), 0);
        assert_eq!(hosts.addresses(NAME).len(), ADDRESSES_MAX);
        hosts.keep(&BTreeSet::new());
        assert!(hosts.addresses(NAME).is_empty() && hosts.next_ms().is_none());
    }

    #[test]
    fn what_others_ask_for_rests_here_and_goes_on_from_what_they_said() {
        let mut hosts = hosts();
        assert_eq!(hosts.says(NAME), None, "nobody has said anything of it");
        let says = |addresses: &str| Resolution { addresses: ips(addresses), words: String::new() };
        assert!(hosts.follow(NAME, says("198.51.100.1")));
        assert!(!hosts.follow(NAME, says("198.51.100.1")), "no news");
        assert!(!hosts.answered(NAME, Answer::found(ips("198.51.100.9"), 60), 0), "asked before it rested");
        assert_eq!((hosts.next_ms(), hosts.says(NAME)), (None, None));
        hosts.ask(NAME, 70_000);
        assert_eq!(hosts.due(70_000).as_deref(), Some(NAME));
        hosts.answered(NAME, both(Family::Failed("SERVFAIL".into())), 70_000);
        assert_eq!((hosts.words(NAME).as_str(), hosts.says(NAME)), ("198.51.100.1", None));
        hosts.answered(NAME, Answer::found(ips("198.51.100.2"), 60), 80_000);
        assert_eq!(
            hosts.says(NAME),
            Some(says("198.51.100.2")).map(|said| Resolution { words: hosts.0[NAME].words.clone(), ..said })
        );
        for _ in 0..FAILURES_MAX {
            hosts.answered(NAME, both(Family::Failed("SERVFAIL".into())), 90_000);
        }
        assert_eq!(hosts.says(NAME), None, "the next in rank may reach a name server");
    }
}
