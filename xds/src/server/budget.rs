//! Memory that clients make this server hold: what only they speak of, requests that have not come completely, and responses
//! that they do not read. Bounded for all together and for each address, so that one stranger takes a share and no more.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::metrics::{Metrics, Refusal};

/// Bounds of that memory, in bytes. What one stream may hold is in [`stream::Limits`](crate::stream::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// For what only clients speak of (names that do not exist, answers not read), all streams together.
    pub asked_max: usize,
    /// The same for the streams of one address.
    pub asked_per_peer_max: usize,
    /// For requests that have come by half, all streams together. Further ones wait.
    pub arriving_max: usize,
    /// The same for the streams of one address.
    pub arriving_per_peer_max: usize,
    /// For responses that are on their way, all streams together. Further ones wait.
    pub leaving_max: usize,
    /// The same for the streams of one address.
    pub leaving_per_peer_max: usize,
}

/// Who takes what.
#[derive(Debug)]
pub(super) struct Budget {
    memory: Memory,
    /// How long a request may take from its first byte to its last, and how long it waits for room.
    patience: Duration,
    metrics: Arc<Metrics>,
    all: Share,
    /// Only who is here now.
    peers: Mutex<HashMap<IpAddr, Weak<Peer>>>,
}

/// What one address takes.
#[derive(Debug)]
pub(super) struct Peer {
    address: IpAddr,
    own: Share,
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Share {
    asked: Arc<AtomicUsize>,
    asked_max: usize,
    arriving: Arc<Semaphore>,
    leaving: Arc<Semaphore>,
}

/// What one stream takes of what only clients speak of. Given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    peer: Arc<Peer>,
    bytes: usize,
}

/// Room for one request that is arriving, or for a response that is leaving. Given back when dropped.
#[derive(Debug)]
pub(super) struct Room(#[allow(dead_code, reason = "held, and given back when dropped")] [OwnedSemaphorePermit; 2]);

/// Claims are counted in this unit, so that most streams cost no counting at all.
const UNIT: usize = 4096;

// === impl Memory ===

impl Default for Memory {
    /// For a process of 512 MiB that serves 100,000 endpoints.
    fn default() -> Self {
        Self {
            asked_max: 64 << 20,
            asked_per_peer_max: 32 << 20,
            arriving_max: 64 << 20,
            arriving_per_peer_max: 16 << 20,
            leaving_max: 64 << 20,
            leaving_per_peer_max: 16 << 20,
        }
    }
}

// === impl Budget ===

impl Budget {
    /// A budget that tells `metrics` what it costs.
    pub(super) fn new(memory: Memory, patience: Duration, metrics: Arc<Metrics>) -> Arc<Self> {
        let bounds = (memory.asked_max, memory.arriving_max, memory.leaving_max);
        let all = Share::new(Arc::clone(&metrics.asked_bytes), bounds);
        Arc::new(Self { memory, patience, metrics, all, peers: Mutex::default() })
    }

    /// The share of an address. Hosts have a whole /64 of IPv6 to choose from, so that is one peer.
    pub(super) fn peer(self: &Arc<Self>, address: IpAddr) -> Arc<Peer> {
        let address = match address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        };
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get(&address).and_then(Weak::upgrade) {
            return peer;
        }
        let memory = &self.memory;
        let bounds = (memory.asked_per_peer_max, memory.arriving_per_peer_max, memory.leaving_per_peer_max);
        let own = Share::new(Arc::default(), bounds);
        let peer = Arc::new(Peer { address, own, budget: Arc::clone(self) });
        peers.insert(address, Arc::downgrade(&peer));
        peer
    }

    /// Of a client whose address is not known.
    pub(super) fn nobody(self: &Arc<Self>) -> Arc<Peer> {
        self.peer(Ipv4Addr::UNSPECIFIED.into())
    }

    fn forget(&self, address: IpAddr) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have come again meanwhile.
        if peers.get(&address).is_some_and(|peer| peer.strong_count() == 0) {
            peers.remove(&address);
        }
    }
}

// === impl Peer ===

impl Peer {
    /// Who it is; of IPv6 the /64.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn patience(&self) -> Duration {
        self.budget.patience
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, reason: Refusal) {
        self.budget.metrics.refused_request(reason);
    }

    /// Waits for room for a request of so many bytes.
    pub(super) async fn room(self: Arc<Self>, bytes: u32) -> Option<Room> {
        Room::of([&self.own.arriving, &self.budget.all.arriving], bytes).await
    }

    /// Waits for room for a response of so many bytes. Longer than a request may take: after a restart thousands of clients
    /// may want everything, and those who wait cost nothing.
    pub(super) async fn room_to_leave(self: Arc<Self>, bytes: usize) -> Option<Room> {
        let memory = &self.budget.memory;
        // One that is larger than there is room for goes alone.
        let bytes = bytes.min(memory.leaving_max).min(memory.leaving_per_peer_max).try_into().unwrap_or(u32::MAX);
        let room = Room::of([&self.own.leaving, &self.budget.all.leaving], bytes);
        tokio::time::timeout(self.patience().saturating_mul(4), room).await.ok()?
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.budget.forget(self.address);
    }
}

// === impl Share ===

impl Share {
    fn new(asked: Arc<AtomicUsize>, (asked_max, arriving_max, leaving_max): (usize, usize, usize)) -> Self {
        let room = |bytes: usize| Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Self { asked, asked_max, arriving: room(arriving_max), leaving: room(leaving_max) }
    }

    fn take(&self, bytes: usize) -> bool {
        let before = self.asked.fetch_add(bytes, Relaxed);
        let fits = before.saturating_add(bytes) <= self.asked_max;
        if !fits {
            self.give(bytes);
        }
        fits
    }

    fn give(&self, bytes: usize) {
        self.asked.fetch_sub(bytes, Relaxed);
    }
}

// === impl Room ===

impl Room {
    /// Of an address first, so that it waits for its own before it takes what is everybody's.
    async fn of([own, all]: [&Arc<Semaphore>; 2], bytes: u32) -> Option<Self> {
        let own = Arc::clone(own).acquire_many_owned(bytes).await.ok()?;
        let all = Arc::clone(all).acquire_many_owned(bytes).await.ok()?;
        Some(Self([own, all]))
    }
}

// === impl Claim ===

impl Claim {
    pub(super) fn new(peer: Arc<Peer>) -> Self {
        Self { peer, bytes: 0 }
    }

    /// Whose it is.
    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Says how much it is now.
    ///
    /// # Errors
    /// When that is more than there is. The stream should end then.
    pub(super) fn set(&mut self, bytes: usize) -> Result<(), Status> {
        let bytes = bytes / UNIT * UNIT;
        let (own, all) = (&self.peer.own, &self.peer.budget.all);
        if bytes <= self.bytes {
            let less = self.bytes - bytes;
            if less > 0 {
                own.give(less);
                all.give(less);
            }
        } else {
            let more = bytes - self.bytes;
            if !own.take(more) {
                let (address, limit) = (self.peer.address, own.asked_max);
                return Err(Status::resource_exhausted(format!(
                    "the streams of {address} ask for names that do not exist, or do not read answers, of more than {limit} \
                     bytes; ask for what exists, or for \"*\""
                )));
            }
            if !all.take(more) {
                own.give(more);
                let limit = all.asked_max;
                return Err(Status::resource_exhausted(format!(
                    "clients ask for names that do not exist, or do not read answers, of more than {limit} bytes; try \
                     another replica"
                )));
            }
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.peer.own.give(self.bytes);
        self.peer.budget.all.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Arc<Budget> {
        let memory = Memory { asked_max: 10 * UNIT, asked_per_peer_max: 6 * UNIT, ..Memory::default() };
        Budget::new(memory, Duration::MAX, Arc::default())
    }

    fn claim(budget: &Arc<Budget>, address: &str) -> Claim {
        Claim::new(budget.peer(address.parse().expect("an address")))
    }

    #[test]
    fn one_address_has_a_share_and_all_together_a_bound() {
        let budget = budget();
        let (mut first, mut second) = (claim(&budget, "10.1.0.1"), claim(&budget, "::ffff:10.1.0.1"));
        first.set(4 * UNIT).expect("fits");
        let refused = second.set(3 * UNIT).expect_err("more than the share of an address");
        assert!(refused.message().starts_with("the streams of 10.1.0.1 ask"), "{refused}");
        let mut other = claim(&budget, "10.1.0.2");
        other.set(6 * UNIT).expect("fits");
        let refused = claim(&budget, "10.1.0.3").set(UNIT).expect_err("more than there is");
        assert!(refused.message().contains("another replica"), "{refused}");
        first.set(2 * UNIT).expect("less is always fine");
        second.set(2 * UNIT).expect("fits now");
        drop((first, second, other));
        assert_eq!(budget.all.asked.load(Relaxed), 0);
    }

    #[test]
    fn an_address_is_forgotten_with_its_last_stream() {
        let budget = budget();
        let of_one_host = [claim(&budget, "2001:db8::1"), claim(&budget, "2001:db8::2")];
        assert_eq!(budget.peers.lock().expect("not poisoned").len(), 1);
        drop(of_one_host);
        assert!(budget.peers.lock().expect("not poisoned").is_empty());
    }

    #[tokio::test]
    async fn requests_wait_for_room_until_others_have_come() {
        let memory = Memory { arriving_max: 10, arriving_per_peer_max: 6, ..Memory::default() };
        let budget = Budget::new(memory, Duration::MAX, Arc::default());
        let peer = |address: &str| budget.peer(address.parse().expect("an address"));
        let busy = peer("10.1.0.1");
        let first = Arc::clone(&busy).room(6).await.expect("there is room");
        let mut same = Box::pin(peer("10.1.0.1").room(1));
        assert!(futures::poll!(&mut same).is_pending());
        let _other = peer("10.1.0.2").room(4).await.expect("there is room for others");
        drop(first);
        same.await.expect("there is room again");
    }
}
