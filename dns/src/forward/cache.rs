//! Answers of other servers, kept for as long as they may be (RFC 2308, RFC 8767). Pure.
//!
//! An answer is kept under the question that it answers and no other: what comes along in it, such as addresses of name
//! servers, answers nothing. Names of the cluster never come here. Readers take a lock that they share, of one of many
//! parts; who writes holds up a part for as long as a map takes.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::answer::{Answer, Lifetime};
use crate::answer::Foreign;

/// Bytes of answers that are kept, unless told otherwise: some 40,000 of them.
pub const BYTES_MAX: usize = 16 << 20;
/// How long an answer is kept at most, in seconds.
pub const TTL_MAX: u32 = 3600;
/// How long the absence of a name or of data is, in seconds: a name that comes about is not to be missing for long.
pub const NEGATIVE_TTL_MAX: u32 = 30;
/// How long an answer that may be kept no longer is given when nobody answers.
pub const STALE: Duration = Duration::from_secs(3600);
/// Answers of which so many were asked for are renewed before they end.
const POPULAR: u32 = 3;
/// The part of its time, one in so many, in which an answer is renewed.
const RENEWED_IN_LAST: u32 = 10;
/// Parts, each with a lock of its own.
const SHARDS: usize = 64;
/// What maps and pointers take for an answer, beside its bytes.
const ENTRY_BYTES: usize = 256;

/// What is kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes in all.
    pub bytes: usize,
    /// Seconds that an answer is kept at most.
    pub ttl_max: u32,
    /// Seconds that a denial is.
    pub negative_ttl_max: u32,
    /// How long an answer may be given after its end, when nobody answers.
    pub stale: Duration,
}

/// The answers.
#[derive(Debug)]
pub struct Cache {
    bounds: Bounds,
    hasher: RandomState,
    shards: Box<[RwLock<Shard>]>,
}

/// The question of an answer: name in lower case, type, DO and AD, on the wire. Only of those that want recursion and
/// take what a validator checked: others may be answered in another way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Arc<[u8]>);

/// An answer that is kept.
#[derive(Debug)]
pub struct Entry {
    /// As it came.
    pub answer: Arc<Answer>,
    came: Instant,
    ttl: u32,
    hits: AtomicU32,
    renewing: AtomicBool,
    /// Since it was last looked at whether it may go.
    used: AtomicBool,
}

/// What is kept for a question.
#[derive(Debug)]
pub enum Kept {
    /// An answer, to be given.
    Fresh(Arc<Entry>),
    /// One to be given when nobody answers.
    Stale(Arc<Entry>),
    /// None.
    Nothing,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Answers.
    pub answers: usize,
    /// Bytes that they take.
    pub bytes: usize,
}

#[derive(Debug, Default)]
struct Shard {
    of: HashMap<Arc<[u8]>, Arc<Entry>>,
    /// Each of them once, in the order in which they are looked at when there is no room.
    order: VecDeque<Arc<[u8]>>,
    bytes: usize,
}

// === impl Key ===

impl Key {
    /// `None` for a question whose answer is not kept.
    pub fn of(foreign: &Foreign) -> Option<Self> {
        let (header, question) = (foreign.query.header, &foreign.query.question);
        if header.checking_disabled || !header.recursion_desired {
            return None;
        }
        let mut wire = Vec::with_capacity(64);
        for label in foreign.name.iter() {
            wire.push(label.len() as u8); // at most 63 (RFC 1035 §2.3.4)
            wire.extend(label.iter().map(u8::to_ascii_lowercase));
        }
        wire.extend(u16::from(question.query_type()).to_be_bytes());
        let dnssec_ok = foreign.query.edns.is_some_and(|edns| edns.dnssec_ok);
        wire.push(u8::from(dnssec_ok) | u8::from(header.authentic_data) << 1);
        Some(Self(wire.into()))
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

// === impl Bounds ===

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: BYTES_MAX, ttl_max: TTL_MAX, negative_ttl_max: NEGATIVE_TTL_MAX, stale: STALE }
    }
}

// === impl Cache ===

impl Cache {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { bounds, hasher: RandomState::new(), shards }
    }

    /// What is kept for a question.
    pub fn get(&self, key: &[u8], now: Instant) -> Kept {
        let entry = {
            let shard = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
            shard.of.get(key).map(Arc::clone)
        };
        let Some(entry) = entry else { return Kept::Nothing };
        let age = now.saturating_duration_since(entry.came);
        let ttl = Duration::from_secs(entry.ttl.into());
        if age < ttl {
            entry.used.store(true, Relaxed);
            entry.hits.fetch_add(1, Relaxed);
            Kept::Fresh(entry)
        } else if age < ttl + self.bounds.stale {
            Kept::Stale(entry)
        } else {
            Kept::Nothing
        }
    }

    /// Keeps an answer, if it may be kept. Returns how many others had to go.
    pub fn put(&self, key: Key, answer: &Arc<Answer>, now: Instant) -> u64 {
        let Some(ttl) = answer.lifetime().map(|lifetime| self.ttl(lifetime)).filter(|ttl| *ttl > 0) else { return 0 };
        let entry = Arc::new(Entry {
            answer: Arc::clone(answer),
            came: now,
            ttl,
            hits: AtomicU32::new(0),
            renewing: AtomicBool::new(false),
            used: AtomicBool::new(false),
        });
        let most = self.bounds.bytes / SHARDS;
        // One that would take the place of all others is not worth it.
        if entry.bytes(&key.0) > most / 2 {
            return 0;
        }
        let mut shard = self.shard(&key.0).write().unwrap_or_else(PoisonError::into_inner);
        shard.put(key.0, entry);
        shard.shrink_to(most)
    }

    /// How much is kept.
    pub fn size(&self) -> Size {
        self.shards.iter().fold(Size::default(), |size, shard| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            Size { answers: size.answers + shard.of.len(), bytes: size.bytes + shard.bytes }
        })
    }

    fn ttl(&self, lifetime: Lifetime) -> u32 {
        match lifetime {
            Lifetime::Positive(ttl) => ttl.min(self.bounds.ttl_max),
            Lifetime::Negative(ttl) => ttl.min(self.bounds.negative_ttl_max),
        }
    }

    fn shard(&self, key: &[u8]) -> &RwLock<Shard> {
        let place = self.hasher.hash_one(key) as usize % SHARDS;
        &self.shards[place]
    }
}

// === impl Entry ===

impl Entry {
    /// For how many seconds it has been kept.
    pub fn age_s(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.came).as_secs()).unwrap_or(u32::MAX)
    }

    /// Whether it ends soon.
    pub fn ends_soon(&self, now: Instant) -> bool {
        let left = self.ttl.saturating_sub(self.age_s(now));
        left.saturating_mul(RENEWED_IN_LAST) <= self.ttl
    }

    /// Whether it is time to renew it: many ask for it, and it ends soon. True once.
    pub fn is_to_be_renewed(&self, now: Instant) -> bool {
        self.ends_soon(now) && self.hits.load(Relaxed) >= POPULAR && !self.renewing.swap(true, Relaxed)
    }

    fn bytes(&self, key: &[u8]) -> usize {
        ENTRY_BYTES + 2 * key.len() + self.answer.bytes()
    }
}

// === impl Shard ===

impl Shard {
    fn put(&mut self, key: Arc<[u8]>, entry: Arc<Entry>) {
        self.bytes += entry.bytes(&key);
        match self.of.insert(Arc::clone(&key), entry) {
            Some(before) => self.bytes -= before.bytes(&key),
            None => self.order.push_back(key),
        }
    }

    /// The oldest go, but for those that were asked for since they were last looked at.
    fn shrink_to(&mut self, most: usize) -> u64 {
        let mut gone = 0;
        // After two rounds none counts as asked for any more.
        while self.bytes > most {
            let Some(key) = self.order.pop_front() else { break };
            if self.of.get(&key).is_some_and(|entry| entry.used.swap(false, Relaxed)) {
                self.order.push_back(key);
            } else if let Some(entry) = self.of.remove(&key) {
                self.bytes -= entry.bytes(&key);
                gone += 1;
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests;
