//! What is measured about writing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use rollcall_admin::page::{self, Page, count, read};

/// What the write-back counts.
#[derive(Debug)]
pub struct Metrics {
    writes: Family<Write, Counter>,
    write_seconds: Family<Object, Histogram, fn() -> Histogram>,
    /// Targets that are due or wait after a failure.
    pub depth: AtomicU64,
    /// Targets being written.
    pub busy: AtomicU64,
    /// Objects that the API server refuses as they are.
    pub refusals: AtomicU64,
    /// For how long the oldest change has been waiting to be written.
    pub oldest_ms: AtomicU64,
    /// Events that were beyond their namespace's share.
    pub untold: AtomicU64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    object: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Object {
    object: &'static str,
}

/// What is written: the EndpointSlices of services, statuses of registrations and policies, CatalogEntries, and Events of
/// statuses.
const OBJECTS: [&str; 5] = ["endpointslice", "status", "catalogentry", "policystatus", "event"];
/// What becomes of a write.
const RESULTS: [&str; 6] = ["written", "conflict", "timeout", "refused", "unreachable", "not_leading"];

// === impl Metrics ===

impl Default for Metrics {
    /// Every series is there from the start, at 0: a rate over the first write is not lost.
    fn default() -> Self {
        let writes = Family::<Write, Counter>::default();
        // Events are counted with the status that they tell of.
        for object in OBJECTS.into_iter().filter(|object| *object != "event") {
            RESULTS.into_iter().for_each(|result| drop(writes.get_or_create(&Write { object, result })));
        }
        // 1 ms to 8 s.
        let histogram = || Histogram::new((0..14).map(|n| 0.001 * f64::from(1_u32 << n)));
        let write_seconds = Family::<Object, Histogram, fn() -> Histogram>::new_with_constructor(histogram);
        OBJECTS.into_iter().for_each(|object| drop(write_seconds.get_or_create(&Object { object })));
        Self {
            writes,
            write_seconds,
            depth: AtomicU64::default(),
            busy: AtomicU64::default(),
            refusals: AtomicU64::default(),
            oldest_ms: AtomicU64::default(),
            untold: AtomicU64::default(),
        }
    }
}

impl Metrics {
    /// Counts writes to the API by what became of them.
    pub fn written(&self, object: &'static str, result: &'static str, writes: usize) {
        self.writes.get_or_create(&Write { object, result }).inc_by(writes as u64);
    }

    /// One request that writes was answered, or given up.
    pub fn took(&self, object: &'static str, time: Duration) {
        self.write_seconds.get_or_create(&Object { object }).observe(time.as_secs_f64());
    }

    /// Registers `rollcall_writeback_…`.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        let help = "Writes to the Kubernetes API: EndpointSlices, statuses of registrations (their Events included) and \
                    policies, and CatalogEntries; written counts writes that were made, the other results attempts that ended so. Only \
                    the leader writes, and nothing while nothing changes; conflict now and then is normal (somebody else \
                    wrote since the object was seen, and it is looked at again), refused and unreachable are not";
        registry.register("rollcall_writeback_writes", help, self.writes.clone());
        let help = "Time of one writing request to the Kubernetes API, by what it writes; some milliseconds to tens of \
                    them. It is given up after some seconds, before the lease could end";
        registry.register_with_unit("rollcall_writeback_write", help, Unit::Seconds, self.write_seconds.clone());
        let metrics = Arc::clone(self);
        page::register(registry, move |page| metrics.write(page));
    }

    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "rollcall_writeback_queue_depth",
            "Objects whose state in the API is to be compared and perhaps written, or that wait after a failure; 0 on a standby, and on the leader but for bursts.",
            read(&self.depth),
        )?;
        page.gauge("rollcall_writeback_busy", "Objects being written, of 16.", read(&self.busy))?;
        page.gauge(
            "rollcall_writeback_oldest_change_seconds",
            "For how long the oldest change has been waiting to be written, failing writes included; 0 on a standby, below a second on the leader but for bursts.",
            read(&self.oldest_ms) / 1000.0,
        )?;
        page.gauge(
            "rollcall_writeback_refused_objects",
            "Objects that the API server refuses as they are, by schema, admission, quota or missing right; the log, Events and the condition Published have its words. 0 is normal.",
            read(&self.refusals),
        )?;
        page.counters(
            "rollcall_writeback_untold_events",
            "Events that were not made, as their namespace had used up its share. Some while endpoints flap.",
            [([], count(&self.untold))],
        )
    }
}
