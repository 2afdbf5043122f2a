//! Leases that instances renew with kubectl: each renewal is a heartbeat.
//!
//! It counts that `spec.renewTime` changed, and not what it says: the clocks of machines are no evidence.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use rollcall_admin::LogRate;
use rollcall_catalog::input::{Origin, OriginKind};
use tracing::warn;

use crate::beats::Hearing;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::informer::Handler;

/// The label that names a registration of the Lease's namespace.
const REGISTRATION_LABEL: &str = "rollcall.dev/registration";
/// The label that names one of its endpoints. Without it the Lease has the endpoint's name.
const ENDPOINT_LABEL: &str = "rollcall.dev/endpoint";
/// Which Leases are watched: nodes and leaders have others, which change all the time.
pub const SELECTOR: &str = REGISTRATION_LABEL;

/// A few lines at once, then one in ten seconds, however many Leases are concerned.
static REFUSED: LogRate = LogRate::new(5, Duration::from_secs(10));

/// Hands renewals of Leases to who hears beats.
pub struct Leases {
    hearing: Hearing,
    renewed: HashMap<ObjectKey, Option<Timestamp>>,
    /// All Leases have been listed: one that appears from now on was made just now. Those before may be old.
    listed: Arc<AtomicBool>,
}

// === impl Leases ===

impl Leases {
    /// A handler that speaks to `hearing`; those of all namespaces share `listed`.
    pub fn new(hearing: Hearing, listed: Arc<AtomicBool>) -> Self {
        Self { hearing, renewed: HashMap::new(), listed }
    }
}

impl Handler<Lease> for Leases {
    async fn apply(&mut self, lease: Lease) {
        let key = ObjectKey::of(&lease.metadata);
        let renewed = lease.spec.and_then(|spec| spec.renew_time).map(|time| time.0);
        let before = self.renewed.insert(key.clone(), renewed);
        let is_beat = renewed.is_some() && before.map_or_else(|| self.listed.load(Relaxed), |before| before != renewed);
        let labels = lease.metadata.labels.unwrap_or_default();
        let Some(registration) = labels.get(REGISTRATION_LABEL).filter(|_| is_beat) else { return };
        let endpoint = labels.get(ENDPOINT_LABEL).map_or(&*key.name, String::as_str);
        let origin = Origin::here(OriginKind::ServiceRegistration, &*key.namespace, registration.as_str());
        if let Err(refused) = self.hearing.renewed(&origin, endpoint)
            && let Some(unsaid) = REFUSED.permit()
        {
            warn!(unsaid, namespace = %key.namespace, lease = %key.name, "a Lease was renewed for nothing: {refused}");
        }
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.renewed.remove(gone);
    }

    async fn synced(&mut self) {
        self.listed.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::model::Addresses;
    use rollcall_health::beat::Beating;
    use serde_json::json;

    use super::*;
    use crate::beats::metrics::{Metrics, Way};
    use crate::replicas::Roster;
    use crate::time::clock::Clock;

    fn lease(name: &str, endpoint: Option<&str>, renewed: &str) -> Lease {
        let mut lease = json!({
            "metadata": {"namespace": "shop", "name": name, "labels": {"rollcall.dev/registration": "vms"}},
            "spec": {"renewTime": renewed},
        });
        if let Some(endpoint) = endpoint {
            lease["metadata"]["labels"]["rollcall.dev/endpoint"] = endpoint.into();
        }
        serde_json::from_value(lease).expect("a Lease")
    }

    struct Rig {
        leases: Leases,
        metrics: Metrics,
    }

    fn rig() -> Rig {
        let metrics = Metrics::default();
        let hearing = Hearing::new(Roster::alone("a"), Clock::default(), metrics.clone());
        let vms = Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", "vms"));
        let vm = Beating { name: "vm-1".into(), addresses: Addresses::V4([198, 51, 100, 1].into()), vouched: false };
        hearing.register(&vms, Some(Arc::default()), &[vm]);
        Rig { leases: Leases::new(hearing, Arc::default()), metrics }
    }

    impl Rig {
        fn beats(&self) -> u64 {
            self.metrics.heard(Way::Lease)
        }
    }

    #[tokio::test]
    async fn a_renewal_is_a_beat_whatever_its_clock_says_and_what_stood_there_is_none() {
        let mut rig = rig();
        rig.leases.apply(lease("vm-1", None, "2026-11-28T10:00:00.000000Z")).await;
        rig.leases.synced().await;
        assert_eq!(rig.beats(), 0, "nobody knows how old it is");
        rig.leases.apply(lease("vm-1", None, "2026-11-28T10:00:00.000000Z")).await;
        assert_eq!(rig.beats(), 0, "somebody changed something else of it");
        rig.leases.apply(lease("vm-1", None, "1999-01-01T00:00:00.000000Z")).await;
        assert_eq!(rig.beats(), 1);
    }

    #[tokio::test]
    async fn a_new_lease_is_a_beat_for_the_endpoint_of_its_label() {
        let mut rig = rig();
        rig.leases.synced().await;
        rig.leases.apply(lease("payments-vm-1", Some("vm-1"), "2026-11-28T10:00:00.000000Z")).await;
        rig.leases.apply(lease("vm-2", None, "2026-11-28T10:00:00.000000Z")).await;
        assert_eq!(rig.beats(), 1, "there is no endpoint vm-2");
        rig.leases.delete(&ObjectKey { namespace: "shop".into(), name: "payments-vm-1".into() }).await;
        rig.leases.apply(lease("payments-vm-1", Some("vm-1"), "2026-11-28T10:00:00.000000Z")).await;
        assert_eq!(rig.beats(), 2);
    }
}
