//! The certificate in use, and what readiness, metrics and the log say about it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rollcall_admin::Gate;
use rollcall_xds::tls::{Certificates, Identity, date};
use tracing::{error, info, warn};

use crate::metrics::Metrics;

/// The certificate in use. A bad one never takes the place of a good one.
#[derive(Debug)]
pub struct Current {
    certificates: Arc<Certificates>,
    gate: Gate,
    metrics: Arc<Metrics>,
    /// What was said last, so that a fault that lasts is not said at each attempt.
    said: Option<String>,
}

// === impl Current ===

impl Current {
    /// None yet: `gate` is closed.
    pub fn new(certificates: Arc<Certificates>, gate: Gate, metrics: Arc<Metrics>) -> Self {
        gate.close("the certificate is not there yet");
        Self { certificates, gate, metrics, said: None }
    }

    /// From now on, new connections get this one.
    pub fn replace(&mut self, identity: Identity) {
        let (names, until) = (identity.names().join(", "), identity.validity().not_after_s);
        if self.certificates.current().is_some() {
            self.metrics.leaf_rotations.fetch_add(1, Relaxed);
        }
        self.certificates.set(identity);
        self.metrics.leaf_expires(until);
        info!(names, until = date(until), "new connections get a new certificate");
    }

    /// All is well with the source.
    pub fn refreshed(&mut self, now_s: i64) {
        self.said = None;
        self.look(now_s, "it was not renewed in time");
    }

    /// The source failed, for this reason; there will be another attempt.
    pub fn failed(&mut self, reason: &str, now_s: i64) {
        self.metrics.refresh_failures.fetch_add(1, Relaxed);
        if self.said.as_deref() != Some(reason) {
            warn!(reason, "no new certificate; trying again");
            self.said = Some(reason.to_owned());
        }
        self.look(now_s, reason);
    }

    /// What the authority that signs says about itself.
    pub fn authority(&self, expires_s: i64) {
        self.metrics.authority_expires(expires_s);
    }

    /// This replica moved signing to another authority.
    pub fn authority_rotated(&self) {
        self.metrics.authority_rotations.fetch_add(1, Relaxed);
    }

    /// When the one in use ends, in seconds since 1970.
    pub fn expires_s(&self) -> Option<i64> {
        self.certificates.current().map(|identity| identity.validity().not_after_s)
    }

    fn look(&mut self, now_s: i64, reason: &str) {
        let Some(identity) = self.certificates.current() else {
            self.gate.close_for("NoCertificate", reason);
            return;
        };
        let validity = identity.validity();
        let (left_s, life_s) = (validity.not_after_s - now_s, validity.not_after_s - validity.not_before_s);
        if left_s < 0 {
            let text = format!("the certificate expired on {}: {reason}", date(validity.not_after_s));
            self.gate.close_for("CertificateExpired", text);
            return;
        }
        self.gate.open();
        if left_s < life_s / 6 && self.said.is_some() {
            error!(
                reason,
                expires = date(validity.not_after_s),
                "the certificate is about to expire and cannot be renewed"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use rollcall_admin::Readiness;

    use super::*;
    use crate::testing::identity;

    fn current() -> (Current, Readiness, Arc<Metrics>) {
        let (readiness, metrics) = (Readiness::default(), Arc::<Metrics>::default());
        (Current::new(Arc::default(), readiness.gate("certificate"), Arc::clone(&metrics)), readiness, metrics)
    }

    fn closed(readiness: &Readiness) -> String {
        readiness.closed().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_failure_closes_the_gate_with_its_reason_only_while_nothing_good_is_there() {
        let (mut current, readiness, metrics) = current();
        current.failed("no file", 1_000);
        assert!(closed(&readiness).contains("certificate: no file"), "{}", closed(&readiness));
        current.replace(identity(1_000, 100));
        current.refreshed(1_000);
        assert!(readiness.is_ready());
        current.failed("no file", 1_050);
        assert!(readiness.is_ready(), "{}", closed(&readiness));
        assert_eq!(metrics.refresh_failures.load(Relaxed), 2);
        assert_eq!(metrics.leaf_expiry(), Some(1_100.0));
    }

    #[test]
    fn a_certificate_that_runs_out_closes_the_gate_and_a_new_one_opens_it() {
        let (mut current, readiness, metrics) = current();
        current.replace(identity(1_000, 100));
        current.failed("no permission", 1_101);
        let text = closed(&readiness);
        assert!(text.contains("expired on") && text.contains("no permission"), "{text}");
        current.replace(identity(1_101, 100));
        current.refreshed(1_101);
        assert!(readiness.is_ready());
        assert_eq!(metrics.leaf_rotations.load(Relaxed), 1);
    }
}
