//! What became of log lines: `rollcall_log_lines_total`.
//!
//! There is one log in a process, so there is one count.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

/// Lines handed to standard error.
pub(super) static WRITTEN: Count = Count::new();
/// Lines for which the queue had no room, or that standard error did not take.
pub(super) static DROPPED: Count = Count::new();
/// Lines that were said too often.
pub(super) static WITHHELD: Count = Count::new();

/// One of them.
#[derive(Debug)]
pub(super) struct Count(AtomicU64);

/// Registers `rollcall_log_lines_total`.
pub fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Lines));
}

// === impl Count ===

impl Count {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn add(&self, lines: u64) {
        self.0.fetch_add(lines, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[derive(Debug)]
struct Lines;

impl Collector for Lines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Log lines by what became of them: written to standard error; dropped, because who reads it is slower \
                    than they come; withheld, because the same was said too often. Dropped is 0 when all is well; many \
                    withheld mean that somebody floods this process, and the lines that were written say with what.";
        let mut family = encoder.encode_descriptor("rollcall_log_lines", help, None, MetricType::Counter)?;
        let outcomes = [("written", &WRITTEN), ("dropped", &DROPPED), ("withheld", &WITHHELD)];
        outcomes.into_iter().try_for_each(|(outcome, count)| {
            ConstCounter::new(count.get()).encode(family.encode_family(&[("outcome", outcome)])?)
        })
    }
}
