//! What is measured about certificates.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, Page, count};
use rollcall_xds::tls::{Clients, Outcome};

/// Counters and times that metrics read.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Certificates that took the place of another.
    pub leaf_rotations: AtomicU64,
    /// Authorities that took the place of another, by this replica's doing.
    pub authority_rotations: AtomicU64,
    /// Attempts to read, renew or write that failed.
    pub refresh_failures: AtomicU64,
    /// What clients have shown.
    pub clients: Arc<Clients>,
    leaf_expiry_s: AtomicI64,
    authority_expiry_s: AtomicI64,
}

// === impl Metrics ===

impl Metrics {
    /// Registers `rollcall_tls_…`, but for handshakes.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        let metrics = Arc::clone(self);
        page::register(registry, move |page| metrics.write(page));
    }

    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauges(
            "rollcall_tls_certificate_expiry_timestamp_seconds",
            "When the certificate that new connections get expires, in Unix time.",
            self.leaf_expiry().map(|at| ([], at)),
        )?;
        page.gauges(
            "rollcall_tls_authority_expiry_timestamp_seconds",
            "When the authority that signs it expires, in Unix time.",
            self.authority_expiry().map(|at| ([], at)),
        )?;
        page.counters(
            "rollcall_tls_rotations",
            "Certificates and authorities that took the place of another, by this replica.",
            [
                ([("what", "leaf")], count(&self.leaf_rotations)),
                ([("what", "authority")], count(&self.authority_rotations)),
            ],
        )?;
        page.counters(
            "rollcall_tls_refresh_failures",
            "Attempts to read, renew or publish certificates that failed.",
            [([], count(&self.refresh_failures))],
        )?;
        page.counters(
            "rollcall_tls_client_certificates",
            "Certificates that clients have shown to the stream's port and the API port, by what came of them.",
            Outcome::ALL.map(|outcome| ([("outcome", outcome.as_str())], self.clients.outcomes(outcome))),
        )
    }

    /// Until when the certificate in use is valid, in seconds since 1970.
    pub fn leaf_expiry(&self) -> Option<f64> {
        known(&self.leaf_expiry_s)
    }

    /// Until when the authority that signs is valid, in seconds since 1970.
    pub fn authority_expiry(&self) -> Option<f64> {
        known(&self.authority_expiry_s)
    }

    pub(crate) fn leaf_expires(&self, at_s: i64) {
        self.leaf_expiry_s.store(at_s, Relaxed);
    }

    pub(crate) fn authority_expires(&self, at_s: i64) {
        self.authority_expiry_s.store(at_s, Relaxed);
    }
}

fn known(at_s: &AtomicI64) -> Option<f64> {
    Some(at_s.load(Relaxed)).filter(|at_s| *at_s != 0).map(|at_s| at_s as f64)
}
