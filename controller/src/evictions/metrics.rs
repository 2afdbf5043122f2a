//! What is counted about evictions.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Decided;
use super::pending::Measured;

/// How long evictions take, by stage, and how many took too long.
#[derive(Clone, Debug)]
pub struct Metrics {
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    late: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    stage: &'static str,
}

const DETECTED: Labels = Labels { stage: "detected" };
const DECIDED: Labels = Labels { stage: "decided" };
const SERVED: Labels = Labels { stage: "served" };
const WRITTEN: Labels = Labels { stage: "written" };

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let seconds = Family::<Labels, Histogram, fn() -> Histogram>::new_with_constructor(histogram);
        for stage in [DETECTED, DECIDED, SERVED, WRITTEN] {
            drop(seconds.get_or_create(&stage));
        }
        Self { seconds, late: Counter::default() }
    }
}

impl Metrics {
    /// Registers all of it.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "rollcall_evictions",
            "Time that evictions of endpoints with checks or a heartbeat took, by stage: from the last sign of life to the first \
             failure, or to the silence that convicts (detected), from there to the verdict (decided), and from the verdict to the streams (served) and to the EndpointSlices \
             (written, by the leader alone). The first two are as the check or the heartbeat is defined, the \
             others milliseconds when all is well",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register(
            "rollcall_evictions_late",
            "Evictions that took longer than the timeToEvict of their registration says. 0 is normal; probes that begin late \
             (rollcall_checks_lateness_seconds) are the usual reason",
            self.late.clone(),
        );
    }

    /// One was decided.
    pub fn decided(&self, decided: &Decided) {
        let seconds = |from_ms: u64, to_ms: u64| Duration::from_millis(to_ms.saturating_sub(from_ms)).as_secs_f64();
        self.observe(&DETECTED, seconds(decided.alive_ms, decided.failed_ms));
        self.observe(&DECIDED, seconds(decided.failed_ms, decided.decided_ms));
    }

    /// Callers see one.
    pub fn served(&self, measured: &Measured) {
        self.observe(&SERVED, measured.served.as_secs_f64());
    }

    /// EndpointSlices have one.
    pub fn written(&self, took: Duration) {
        self.observe(&WRITTEN, took.as_secs_f64());
    }

    /// One took longer than it should.
    pub fn late(&self) {
        self.late.inc();
    }

    fn observe(&self, stage: &Labels, seconds: f64) {
        self.seconds.get_or_create(stage).observe(seconds);
    }
}

fn histogram() -> Histogram {
    Histogram::new([0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0])
}
