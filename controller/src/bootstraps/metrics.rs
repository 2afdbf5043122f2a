//! What is counted about bootstrap files in ConfigMaps.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How many there are, and how often they were written.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    maps: Family<ByState, Gauge>,
    writes: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: &'static str,
}

const CURRENT: ByState = ByState { state: "current" };
const FAILING: ByState = ByState { state: "failing" };

// === impl Metrics ===

impl Metrics {
    /// Registers all of it.
    pub fn register(&self, registry: &mut Registry) {
        self.nothing_to_keep();
        registry.register(
            "rollcall_bootstrap_configmaps",
            "ConfigMaps with bootstrap files (--bootstrap-configmap) that this replica keeps, by state; 0 where it does not \
             lead. The log says what is wrong with those that are failing",
            self.maps.clone(),
        );
        registry.register(
            "rollcall_bootstrap_writes",
            "Writes of bootstrap files. A few after an installation and with each new authority are normal",
            self.writes.clone(),
        );
    }

    pub(super) fn looked(&self, current: usize, failing: usize) {
        for (state, count) in [(CURRENT, current), (FAILING, failing)] {
            self.maps.get_or_create(&state).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn nothing_to_keep(&self) {
        self.looked(0, 0);
    }

    pub(super) fn written(&self) {
        self.writes.inc();
    }
}
