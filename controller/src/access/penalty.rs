//! Who shows bad tokens again and again is not asked about for a while: a stranger's guesses cost the API server little.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Bad tokens by address.
#[derive(Debug, Default)]
pub(super) struct Penalties(Mutex<HashMap<IpAddr, Count>>);

#[derive(Clone, Copy, Debug)]
struct Count {
    bad: u32,
    since: Instant,
}

/// Bad tokens of one address in a window. Whoever rolls out a wrong token on one machine stays below it.
const BAD_MAX: u32 = 20;
/// After it, the count begins anew.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// Addresses counted at a time. Above, counting begins anew: the bound is about memory.
const ADDRESSES_MAX: usize = 16_384;

// === impl Penalties ===

impl Penalties {
    /// Whether an address has shown too many.
    pub(super) fn bars(&self, address: IpAddr, now: Instant) -> bool {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&address).is_some_and(|count| count.bad >= BAD_MAX && now < count.since + WINDOW)
    }

    /// An address has shown a bad one.
    pub(super) fn count(&self, address: IpAddr, now: Instant) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= ADDRESSES_MAX && !counts.contains_key(&address) {
            counts.clear();
        }
        let count = counts.entry(address).or_insert(Count { bad: 0, since: now });
        if now >= count.since + WINDOW {
            *count = Count { bad: 0, since: now };
        }
        count.bad += 1;
    }
}
