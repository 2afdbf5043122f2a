//! What is measured about certificates.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use rollcall_xds::tls::Observer;

/// Counters and times that metrics read.
#[derive(Debug, Default)]
pub struct Tally {
    /// Handshakes that failed.
    pub handshakes: Arc<Observer>,
    /// Certificates that took the place of another.
    pub leaf_rotations: AtomicU64,
    /// Authorities that took the place of another, by this replica's doing.
    pub authority_rotations: AtomicU64,
    /// Attempts to read, renew or write that failed.
    pub refresh_failures: AtomicU64,
    leaf_expiry_s: AtomicI64,
    authority_expiry_s: AtomicI64,
}

// === impl Tally ===

impl Tally {
    /// Until when the certificate in use is valid, in seconds since 1970.
    pub fn leaf_expiry(&self) -> Option<f64> {
        known(&self.leaf_expiry_s)
    }

    /// Until when the authority that signs is valid, in seconds since 1970.
    pub fn authority_expiry(&self) -> Option<f64> {
        known(&self.authority_expiry_s)
    }

    /// With both times known.
    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        let tally = Self::default();
        tally.leaf_expires(1);
        tally.authority_expires(1);
        tally
    }

    pub(super) fn leaf_expires(&self, at_s: i64) {
        self.leaf_expiry_s.store(at_s, Relaxed);
    }

    pub(super) fn authority_expires(&self, at_s: i64) {
        self.authority_expiry_s.store(at_s, Relaxed);
    }
}

fn known(at_s: &AtomicI64) -> Option<f64> {
    Some(at_s.load(Relaxed)).filter(|at_s| *at_s != 0).map(|at_s| at_s as f64)
}
