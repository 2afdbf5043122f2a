//! Which replicas live: from their Leases, and from the streams between them.
//!
//! A replica counts while its Lease is seen to change or its own words arrive on a stream; either is enough, so that neither a
//! slow API server nor a broken stream alone makes one dead. Both are judged by the local monotonic clock from the moment at
//! which they were *seen*: wall clocks may disagree.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcall_catalog::model::Name;

use crate::owner;

/// Everybody that was heard of.
#[derive(Debug)]
pub struct Membership {
    me: Name,
    /// What this replica says of itself.
    mine: Presence,
    peers: BTreeMap<Name, Peer>,
}

/// What a replica says of itself, again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// It suspects that what it sees is its own fault: others should do its work.
    pub suspects_itself: bool,
    /// It is about to end.
    pub leaves: bool,
}

/// How the replicas stand, as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Among whom work is shared, sorted. Never empty. This replica may be missing: while it suspects itself.
    pub live: Arc<[Name]>,
    /// The peers whose streams bring what they say, sorted. Never with this replica.
    pub heard: Arc<[Name]>,
    /// Everybody that lives, sorted, whether it is given work here or not: each may be at what it would own by what it sees
    /// itself. Always with this replica.
    pub around: Arc<[Name]>,
}

#[derive(Debug, Default)]
struct Peer {
    /// The version of its Lease that was seen last.
    version: String,
    /// When its Lease was last seen to change. What is seen for the first time may be left by a replica that died long ago.
    renewed_ms: Option<u64>,
    /// When its words arrived last.
    heard_ms: Option<u64>,
    /// Since when it could have been heard.
    known_ms: u64,
    says: Presence,
}

/// A Lease that did not change for so long, and a stream that brought nothing for so long, say nothing any more.
pub const FRESH_MS: u64 = 3_000;
/// Who renews and is not heard by then cannot tell us what it finds: it is given no work.
pub const UNHEARD_MS: u64 = 6_000;
/// A replica says every half second that it lives. Whose words did not come for so long may hear what is not known here.
pub const DEAF_MS: u64 = 1_500;
/// For so long at most: then it counts as silence.
pub const DEAF_MAX_MS: u64 = 30_000;
/// A Lease that did not change for so long is of nobody, and is removed.
pub const LEFT_MS: u64 = 60_000;

// === impl Membership ===

impl Membership {
    /// Nobody but `me`.
    pub fn new(me: Name) -> Self {
        Self { me, mine: Presence::default(), peers: BTreeMap::new() }
    }

    /// The Leases there are now, by the identities of their replicas, with their versions.
    pub fn listed(&mut self, leases: &[(Name, String)], now_ms: u64) {
        for (name, version) in leases.iter().filter(|(name, _)| *name != self.me) {
            let peer = self.peers.entry(Name::clone(name)).or_insert_with(|| Peer::known(now_ms));
            if !peer.version.is_empty() && peer.version != *version {
                peer.renewed_ms = Some(now_ms);
            }
            if peer.version != *version {
                peer.version.clone_from(version);
            }
        }
        for (name, peer) in &mut self.peers {
            if !leases.iter().any(|(listed, _)| listed == name) {
                (peer.renewed_ms, peer.version) = (None, String::new());
            }
        }
        let fresh = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| now_ms < at_ms.saturating_add(LEFT_MS));
        self.peers.retain(|_, peer| !peer.version.is_empty() || fresh(peer.heard_ms));
    }

    /// A peer's own words arrived on its stream.
    pub fn heard(&mut self, from: &Name, says: Presence, now_ms: u64) {
        if *from == self.me {
            return;
        }
        let peer = self.peers.entry(Name::clone(from)).or_insert_with(|| Peer::known(now_ms));
        (peer.heard_ms, peer.says) = (Some(now_ms), says);
    }

    /// What this replica says of itself from now on.
    pub fn says(&mut self, mine: Presence) {
        self.mine = mine;
    }

    /// How the replicas stand now.
    pub fn standing(&self, now_ms: u64) -> Standing {
        let live = |(_, peer): &(&Name, &Peer)| peer.lives(now_ms) && peer.can_tell(now_ms);
        let able = |says: Presence| !says.suspects_itself && !says.leaves;
        let mut peers: Vec<_> = self.peers.iter().filter(live).collect();
        let around = self.peers.iter().filter(|(_, peer)| peer.lives(now_ms)).map(|(name, _)| name);
        let mut around: Vec<_> = around.chain([&self.me]).cloned().collect();
        around.sort_unstable();
        let all: Vec<_> = peers.iter().map(|(name, _)| Name::clone(name)).collect();
        peers.retain(|(_, peer)| able(peer.says));
        let mut names: Vec<_> = peers.into_iter().map(|(name, _)| Name::clone(name)).collect();
        if able(self.mine) {
            names.push(Name::clone(&self.me));
        } else if names.is_empty() {
            // All doubt themselves: somebody has to do it.
            names = all;
            names.push(Name::clone(&self.me));
        }
        names.sort_unstable();
        let heard = self.peers.iter().filter(|(_, peer)| peer.is_heard(now_ms));
        let heard = heard.map(|(name, _)| Name::clone(name)).collect();
        Standing { live: names.into(), heard, around: around.into() }
    }

    /// Whether a peer that lives is not heard, so that not everything is known here that the replicas hear.
    pub fn is_deaf(&self, now_ms: u64) -> bool {
        self.peers.values().any(|peer| peer.lives(now_ms) && peer.may_hear_more(now_ms))
    }

    /// Whether it has a Lease, or was heard of late.
    pub fn knows(&self, peer: &Name) -> bool {
        self.peers.contains_key(peer)
    }

    /// Replicas whose Leases were left: they did not change for [`LEFT_MS`], and nothing was heard.
    pub fn left(&self, now_ms: u64) -> Vec<Name> {
        let left = |peer: &Peer| {
            let last_ms = peer.known_ms.max(peer.renewed_ms.unwrap_or(0)).max(peer.heard_ms.unwrap_or(0));
            !peer.version.is_empty() && now_ms >= last_ms.saturating_add(LEFT_MS)
        };
        self.peers.iter().filter(|(_, peer)| left(peer)).map(|(name, _)| Name::clone(name)).collect()
    }
}

// === impl Standing ===

impl Standing {
    /// Nobody but `me`.
    pub fn alone(me: &Name) -> Self {
        Self::of([Name::clone(me)], [])
    }

    /// These share the work, nobody else is around, and of those `heard` are heard.
    pub fn of(live: impl Into<Arc<[Name]>>, heard: impl Into<Arc<[Name]>>) -> Self {
        let live = live.into();
        Self { around: Arc::clone(&live), live, heard: heard.into() }
    }

    /// Whether nobody but `me` can be at `work`, whatever the others see: then what `me` hears of it is told to nobody. One that
    /// is not heard here may hear us, and go by it.
    pub fn keeps(&self, me: &str, work: &str) -> bool {
        let is_first = |among: &[Name]| owner::owner(work, among.iter().map(|name| &**name)) == Some(me);
        is_first(&self.live) && is_first(&self.around)
    }
}

// === impl Peer ===

impl Peer {
    fn known(now_ms: u64) -> Self {
        Self { known_ms: now_ms, ..Self::default() }
    }

    fn is_heard(&self, now_ms: u64) -> bool {
        is_fresh(self.heard_ms, now_ms)
    }

    fn lives(&self, now_ms: u64) -> bool {
        self.is_heard(now_ms) || is_fresh(self.renewed_ms, now_ms)
    }

    /// Whether it is heard, or may still be.
    fn can_tell(&self, now_ms: u64) -> bool {
        now_ms < self.last_ms().saturating_add(UNHEARD_MS)
    }

    fn may_hear_more(&self, now_ms: u64) -> bool {
        (DEAF_MS..DEAF_MAX_MS).contains(&now_ms.saturating_sub(self.last_ms()))
    }

    /// When it was heard last, or could have been first.
    fn last_ms(&self) -> u64 {
        self.heard_ms.unwrap_or(0).max(self.known_ms)
    }
}

fn is_fresh(at_ms: Option<u64>, now_ms: u64) -> bool {
    at_ms.is_some_and(|at_ms| now_ms < at_ms.saturating_add(FRESH_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(of: &[(&str, u64)]) -> Vec<(Name, String)> {
        of.iter().map(|(name, version)| ((*name).into(), version.to_string())).collect()
    }

    fn live(membership: &Membership, now_ms: u64) -> Vec<String> {
        membership.standing(now_ms).live.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_lease_counts_while_it_is_seen_to_change_and_one_that_was_left_never_does() {
        let mut membership = Membership::new("a".into());
        membership.listed(&leases(&[("a", 1), ("b", 1), ("old", 1)]), 0);
        assert_eq!(live(&membership, 0), ["a"], "whoever was first seen may be long dead");
        membership.listed(&leases(&[("a", 2), ("b", 2), ("old", 1)]), 1_000);
        assert_eq!(live(&membership, 1_000), ["a", "b"]);
        assert_eq!(live(&membership, 1_000 + FRESH_MS - 1), ["a", "b"]);
        assert_eq!(live(&membership, 1_000 + FRESH_MS), ["a"]);
        assert_eq!(membership.left(LEFT_MS), [Name::from("old")]);
        membership.listed(&leases(&[("b", 3)]), 5_000);
        membership.listed(&leases(&[]), 5_001);
        assert_eq!(live(&membership, 5_001), ["a"], "a Lease that was deleted ends it at once");
    }

    #[test]
    fn while_the_api_server_is_away_streams_keep_replicas_alive() {
        let mut membership = Membership::new("a".into());
        membership.listed(&leases(&[("b", 1), ("c", 1)]), 0);
        membership.listed(&leases(&[("b", 2), ("c", 2)]), 1_000);
        for now_ms in (1_000..60_000).step_by(500) {
            membership.heard(&"b".into(), Presence::default(), now_ms);
        }
        let standing = membership.standing(60_000);
        assert_eq!((live(&membership, 60_000), &*standing.heard), (vec!["a".into(), "b".into()], &["b".into()][..]));
    }

    #[test]
    fn who_renews_and_cannot_be_heard_is_given_no_work() {
        let mut membership = Membership::new("a".into());
        for second in 0..20 {
            membership.listed(&leases(&[("b", second)]), second * 1_000);
        }
        assert_eq!(live(&membership, 5_000), ["a", "b"]);
        assert_eq!(live(&membership, 19_500), ["a"]);
    }

    #[test]
    fn what_is_heard_is_told_to_who_cannot_be_heard_and_may_be_at_it() {
        let mut membership = Membership::new("a".into());
        for second in 0..20 {
            membership.listed(&leases(&[("b", second)]), second * 1_000);
        }
        let standing = membership.standing(19_500);
        assert_eq!(&*standing.live, [Name::from("a")]);
        let work = |first: &str| {
            let named = (0..100).map(|n| format!("shop/vms/vm-{n}"));
            { named }.find(|work| owner::owner(work, ["a", "b"]) == Some(first)).expect("shared")
        };
        assert!(standing.keeps("a", &work("a")) && !standing.keeps("a", &work("b")), "it is b's, by what b sees");
        membership.says(Presence { suspects_itself: true, leaves: false });
        membership.heard(&"b".into(), Presence::default(), 19_500);
        assert!(!membership.standing(19_500).keeps("a", &work("a")), "others do its work");
    }

    #[test]
    fn who_suspects_itself_or_leaves_is_given_no_work_unless_all_do() {
        let mut membership = Membership::new("a".into());
        let suspect = Presence { suspects_itself: true, leaves: false };
        membership.heard(&"b".into(), suspect, 0);
        membership.heard(&"c".into(), Presence { leaves: true, ..Presence::default() }, 0);
        assert_eq!(live(&membership, 1), ["a"]);
        assert_eq!(membership.standing(1).heard.len(), 2, "they are heard all the same");
        membership.says(suspect);
        assert_eq!(live(&membership, 1), ["a", "b", "c"]);
        membership.heard(&"b".into(), Presence::default(), 1);
        assert_eq!(live(&membership, 1), ["b"]);
    }
}
