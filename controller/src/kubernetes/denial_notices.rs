//! Rights that writes and the election met as missing. Serving goes on without them, so readiness does not say so; the
//! log does, and an Event on the pod.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rollcall_admin::Readiness;
use tracing::warn;

use crate::kubernetes::denial::Denial;
use crate::time::clock::Clock;

/// Tells each missing right at once, and again after some minutes if it still is: not with each attempt. Clones share
/// what was told.
#[derive(Clone, Debug)]
pub struct DenialNotices {
    /// When each verb and resource was told last. As many as the rules of our roles at most.
    told_ms: Arc<Mutex<BTreeMap<(String, String), u64>>>,
    /// A gate for each right, and no part of `/readyz`: what they are closed for becomes Events.
    concerns: Readiness,
    clock: Clock,
}

/// Between two times that the same is told.
const AGAIN_MS: u64 = 5 * 60 * 1000;

// === impl DenialNotices ===

impl DenialNotices {
    /// Nothing was denied yet. What is becomes a closed gate of `concerns`.
    pub fn new(concerns: Readiness, clock: Clock) -> Self {
        Self { told_ms: Arc::default(), concerns, clock }
    }

    /// Tells of `error` if it is a missing right; whether it is one.
    pub fn told(&self, error: &kube::Error) -> bool {
        let Some(denial) = Denial::of(error) else { return false };
        if self.is_due(&denial, self.clock.monotonic_ms()) {
            warn!(verb = denial.verb, resource = denial.resource, "{denial}; what is served goes on");
            let right = format!("{} {}", denial.verb, denial.resource);
            self.concerns.gate(right).close_for("Forbidden", denial.to_string());
        }
        true
    }

    fn is_due(&self, denial: &Denial, now_ms: u64) -> bool {
        let mut told_ms = self.told_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let right = (denial.verb.clone(), denial.resource.clone());
        let due = told_ms.get(&right).is_none_or(|told_ms| now_ms >= told_ms + AGAIN_MS);
        if due {
            told_ms.insert(right, now_ms);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(verb: &str) -> kube::Error {
        let said = format!(
            "x is forbidden: User \"u\" cannot {verb} resource \"leases\" in API group \"g\" in the namespace \"n\""
        );
        kube::Error::Api(Box::new(Status::failure(&said, "Forbidden").with_code(403)))
    }

    #[test]
    fn each_right_is_told_at_once_and_again_after_minutes() {
        let denials = DenialNotices::new(Readiness::default(), Clock::default());
        let due = |verb, now_ms| denials.is_due(&Denial::of(&refused(verb)).expect("a missing right"), now_ms);
        assert!(due("get", 0) && due("update", 0));
        assert!(!due("get", AGAIN_MS - 1));
        assert!(due("get", AGAIN_MS));
    }

    #[test]
    fn what_is_missing_becomes_a_notice() {
        let concerns = Readiness::default();
        let denials = DenialNotices::new(concerns.clone(), Clock::default());
        assert!(!denials.told(&kube::Error::Service("away".into())) && concerns.is_ready());
        assert!(denials.told(&refused("update")));
        let closed = &concerns.closed()[0];
        assert_eq!(closed.fault, Some("Forbidden"));
        assert!(closed.to_string().contains("updating leases in namespace n is forbidden to user u"), "{closed}");
    }
}
