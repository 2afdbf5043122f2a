//! What replicas tell each other of beats: when each instance was heard last, by whoever does not decide about it.
//!
//! An instance sends its beats to any replica; one owns it. The others say in batches what they heard, as a state and not as
//! events: a batch that is replaced before it was read loses nothing but what is older. Ages and no times, since machines'
//! clocks differ.

use std::time::Duration;

use rollcall_catalog::time::Now;
use xxhash_rust::xxh3::xxh3_64;

use super::beats::{Beats, Change, Entry};
use super::definition::ALLOWANCE;
use super::instance::{Life, Said};
use crate::owner;

/// Instances are told in so many parts, by hash, so that a beat does not repeat all others.
pub const SHARDS: u8 = 64;
/// From a beat to its batch, in milliseconds.
pub const BATCH_MS: u64 = 150;
/// A beat is told for so long: whoever connects meanwhile misses none.
pub const TOLD_MS: u64 = 5_000;
/// What is told is told again by then, with its age.
pub const REFRESH_MS: u64 = 1_000;

/// A beat that a replica heard of an instance about which it does not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overheard {
    /// Which instance: the hash of its work's name.
    pub instance: u64,
    /// Which of the beats that this replica has heard.
    pub number: u32,
    /// How long ago, in milliseconds.
    pub ago_ms: u32,
    /// What it said.
    pub said: Said,
}

/// What was heard of an instance at this process, for whoever decides about it.
#[derive(Clone, Debug)]
pub(super) struct Here {
    number: u32,
    /// In milliseconds awake.
    at_ms: u64,
    said: Said,
}

/// The last beat of an instance of which each peer told, by the peer's number and the beat's there. Each is told again and again,
/// for [`TOLD_MS`], and what was under way for longer than before would look like a later one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Repeated([Option<(u32, u32)>; REMEMBERED]);

/// An instance beats to so many replicas in turn, seldom to more within [`TOLD_MS`].
const REMEMBERED: usize = 4;

/// What is told to other replicas.
#[derive(Debug)]
pub(super) struct Telling {
    number: u32,
    shards: Vec<Shard>,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    /// There is something new in it.
    dirty: bool,
    /// When it was told last, in milliseconds awake; `None` if nothing is told.
    told_ms: Option<u64>,
}

/// Which instance.
pub fn instance(origin: &rollcall_catalog::input::Origin, endpoint: &str) -> u64 {
    xxh3_64(owner::work(origin, endpoint).as_bytes())
}

/// The part in which an instance is told.
pub fn shard(instance: u64) -> u8 {
    // The remainder of a division by 64 fits.
    u8::try_from(instance % u64::from(SHARDS)).unwrap_or_default()
}

// === impl Repeated ===

impl Repeated {
    /// Whether this peer has not told of this beat before; it has now.
    fn is_news(&mut self, peer: u32, number: u32) -> bool {
        if let Some((_, last)) = self.0.iter_mut().flatten().find(|(of, _)| *of == peer) {
            return std::mem::replace(last, number) != number;
        }
        self.0.rotate_right(1);
        self.0[0] = Some((peer, number));
        true
    }
}

// === impl Telling ===

impl Default for Telling {
    fn default() -> Self {
        Self { number: 0, shards: vec![Shard::default(); usize::from(SHARDS)] }
    }
}

impl Telling {
    /// An instance was heard here.
    pub(super) fn heard(&mut self, entry: &mut Entry, said: &Said, awake_ms: u64) {
        self.number = self.number.wrapping_add(1);
        entry.here = Some(Here { number: self.number, at_ms: awake_ms, said: said.clone() });
        // What is this replica's now is told when it is another's.
        if let Some(part) = self.shards.get_mut(usize::from(shard(entry.id))).filter(|_| !entry.owned) {
            part.dirty = true;
        }
    }

    /// Others decide now.
    pub(super) fn again(&mut self) {
        self.shards.iter_mut().for_each(|shard| shard.dirty = true);
    }
}

// === impl Beats ===

impl Beats {
    /// What is to be told to other replicas now, by part; an empty one is not told any more. To be called each [`BATCH_MS`]
    /// while somebody beats.
    pub fn batch(&mut self, now: Now) -> Vec<(u8, Vec<Overheard>)> {
        let awake_ms = self.awake.at(now.mono_ms);
        let due = |shard: &Shard| {
            shard.dirty || shard.told_ms.is_some_and(|told_ms| awake_ms.saturating_sub(told_ms) >= REFRESH_MS)
        };
        if !self.telling.shards.iter().any(due) {
            return Vec::new();
        }
        let mut parts: Vec<Option<Vec<Overheard>>> =
            self.telling.shards.iter().map(|shard| due(shard).then(Vec::new)).collect();
        for entry in self.entries.iter().flatten().filter(|entry| !entry.owned) {
            let Some(here) = &entry.here else { continue };
            let ago_ms = awake_ms.saturating_sub(here.at_ms);
            if let Some(Some(part)) = parts.get_mut(usize::from(shard(entry.id)))
                && ago_ms <= TOLD_MS
            {
                let ago_ms = u32::try_from(ago_ms).unwrap_or(u32::MAX);
                part.push(Overheard { instance: entry.id, number: here.number, ago_ms, said: here.said.clone() });
            }
        }
        let mut batch = Vec::new();
        for ((at, shard), part) in (0_u8..).zip(&mut self.telling.shards).zip(parts) {
            let Some(part) = part else { continue };
            shard.dirty = false;
            if part.is_empty() && shard.told_ms.is_none() {
                continue;
            }
            shard.told_ms = Some(awake_ms).filter(|_| !part.is_empty());
            batch.push((at, part));
        }
        batch
    }

    /// Whether something is told, or is to be.
    pub fn tells(&self) -> bool {
        self.telling.shards.iter().any(|shard| shard.dirty || shard.told_ms.is_some())
    }

    /// Another replica heard an instance. Whether that is news, and what it comes to if that changed.
    pub fn overheard(&mut self, peer: u32, overheard: &Overheard, now: Now) -> (bool, Option<Change>) {
        let awake_ms = self.awake.at(now.mono_ms).saturating_sub(u64::from(overheard.ago_ms));
        let Some(id) = self.by_instance.get(&overheard.instance).copied() else { return (false, None) };
        let woke_ms = self.woke_ms;
        let Some(entry) = self.entry(id).filter(|entry| entry.judged) else { return (false, None) };
        if !entry.from.is_news(peer, overheard.number) {
            return (false, None);
        }
        // Of who was never heard that is when listening began: an older beat is a sign of life, too, but for one that has been silent
        // for too long since.
        let was_heard = entry.instance.life() != Life::Unheard;
        if was_heard && awake_ms <= entry.instance.heard_ms() {
            return (false, None);
        }
        let silence = entry.instance.due(&entry.heartbeat).within.saturating_add(ALLOWANCE);
        if Duration::from_millis(overheard.ago_ms.into()) >= silence {
            return (false, None);
        }
        let regular = entry.instance.heard_ms() >= woke_ms;
        let evidence = entry.instance.heard(&overheard.said, &entry.heartbeat, awake_ms, regular, now);
        let change = evidence.map(|evidence| entry.change(evidence));
        self.arm(id);
        (true, change)
    }
}

#[cfg(test)]
mod tests;
