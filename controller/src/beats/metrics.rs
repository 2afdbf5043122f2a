//! What is counted about beats.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rollcall_health::beat::beats::Unknown;

/// Counters of the beats.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Instances that are to beat.
    pub instances: Gauge,
    /// Instances that were silent for too long, as this replica decided it.
    pub convicted: Counter,
    /// Times that this process slept, so that it convicted nobody.
    pub stalls: Counter,
    heard: Family<ByWay, Counter>,
    refused: Family<ByReason, Counter>,
}

/// How a beat came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a request to this replica, over HTTP or an agent's stream.
    Request,
    /// By a Lease, as every replica sees.
    Lease,
    /// By another replica that was told.
    Peer,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWay {
    way: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

// === impl Metrics ===

impl Default for Metrics {
    /// Every series is there from the start, at 0: a rate over the first one is not lost.
    fn default() -> Self {
        let metrics = Self {
            instances: Gauge::default(),
            convicted: Counter::default(),
            stalls: Counter::default(),
            heard: Family::default(),
            refused: Family::default(),
        };
        for way in [Way::Request, Way::Lease, Way::Peer] {
            drop(metrics.heard.get_or_create(&ByWay::of(way)));
        }
        for unknown in [Unknown::Registration, Unknown::Endpoint, Unknown::Heartbeat] {
            drop(metrics.refused.get_or_create(&ByReason::of(unknown)));
        }
        metrics
    }
}

impl Metrics {
    /// Registers all of it.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "rollcall_beats_instances",
            "Endpoints of registrations with a heartbeat. The same on every replica",
            self.instances.clone(),
        );
        registry.register(
            "rollcall_beats_heard",
            "Beats that this replica heard: by requests over HTTP and agents' streams, by Leases, which all replicas see, and \
             by other replicas that leave it to this one to decide",
            self.heard.clone(),
        );
        registry.register(
            "rollcall_beats_refused",
            "Beats for what is not to beat: no such registration, no such endpoint, or no heartbeat in its spec. 0 is normal; \
             the answer tells the sender what to do",
            self.refused.clone(),
        );
        registry.register(
            "rollcall_beats_silences",
            "Endpoints that were silent for too long and turned critical, as this replica decided it",
            self.convicted.clone(),
        );
        registry.register(
            "rollcall_beats_stalls",
            "Times that this process did not run for more than half a second. It convicts nobody for a silence of that time; \
             if it rises often the replica lacks CPU, and evictions come late",
            self.stalls.clone(),
        );
    }

    /// A beat was heard.
    pub fn hear(&self, way: Way) {
        self.heard.get_or_create(&ByWay::of(way)).inc();
    }

    /// Beats heard this way so far.
    #[cfg(test)]
    pub(crate) fn heard(&self, way: Way) -> u64 {
        self.heard.get_or_create(&ByWay::of(way)).get()
    }

    /// A beat was refused.
    pub fn refused(&self, unknown: Unknown) {
        self.refused.get_or_create(&ByReason::of(unknown)).inc();
    }
}

// === impl ByWay ===

impl ByWay {
    fn of(way: Way) -> Self {
        let way = match way {
            Way::Request => "request",
            Way::Lease => "lease",
            Way::Peer => "peer",
        };
        Self { way }
    }
}

// === impl ByReason ===

impl ByReason {
    fn of(unknown: Unknown) -> Self {
        let reason = match unknown {
            Unknown::Registration => "unknown_registration",
            Unknown::Endpoint => "unknown_endpoint",
            Unknown::Heartbeat => "no_heartbeat",
        };
        Self { reason }
    }
}
