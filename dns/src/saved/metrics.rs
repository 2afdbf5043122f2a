//! What is counted of the snapshot on disk.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The metrics of the snapshot.
#[derive(Debug, Default)]
pub struct Metrics {
    writes: Counter,
    failures: Counter,
    size: Gauge<f64, AtomicU64>,
    as_of: Gauge<f64, AtomicU64>,
    /// 1 while answers come from it.
    pub in_use: Gauge,
}

// === impl Metrics ===

impl Metrics {
    /// Registers them.
    pub fn register(&self, to: &mut Registry) {
        let help = "Times that the snapshot was written (--snapshot); at most one each 10 s";
        to.register("snapshot_writes", help, self.writes.clone());
        let help = "Times that the snapshot could not be written or read; the log says why. 0 is normal";
        to.register("snapshot_failures", help, self.failures.clone());
        to.register_with_unit("snapshot_size", "Size of the snapshot", Unit::Bytes, self.size.clone());
        let help = "When the snapshot was last known to be what the catalog says, in unix time; 0 without one";
        to.register_with_unit("snapshot_timestamp", help, Unit::Seconds, self.as_of.clone());
        let help = "1 while answers come from the snapshot, because no controller has been reached since the start; 0 is \
                    normal";
        to.register("snapshot_in_use", help, self.in_use.clone());
    }

    /// A file was written, which is right as of a time since the epoch.
    pub fn written(&self, bytes: u64, as_of: Duration) {
        self.writes.inc();
        self.size.set(bytes as f64);
        self.as_of(as_of);
    }

    /// The file is right as of a time since the epoch.
    pub fn as_of(&self, as_of: Duration) {
        self.as_of.set(as_of.as_secs_f64());
    }

    /// A file could not be written, or not be used.
    pub fn failed(&self) {
        self.failures.inc();
    }
}
