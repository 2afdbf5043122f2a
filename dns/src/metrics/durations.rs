//! A histogram that is observed without a lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// How long answers took: buckets from 1 µs to 65 ms. Clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Each below its bound and above the one before; the last one has none.
    buckets: [AtomicU64; BOUNDS + 1],
    nanoseconds: AtomicU64,
}

const BOUNDS: usize = 9;

// === impl Durations ===

impl Durations {
    /// So many answers took `total` together, each as long as the others.
    pub(super) fn observe(&self, total: Duration, count: u32) {
        let Some(each) = total.checked_div(count) else { return };
        let bucket = (0..BOUNDS).find(|n| each <= bound(*n)).unwrap_or(BOUNDS);
        self.0.buckets[bucket].fetch_add(count.into(), Relaxed);
        self.0.nanoseconds.fetch_add(u64::try_from(total.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// 1 µs, 4 µs, 16 µs, and so on.
fn bound(n: usize) -> Duration {
    Duration::from_micros(1 << (2 * n))
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = (0..BOUNDS).map(|n| bound(n).as_secs_f64()).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(self.0.buckets.iter().map(|count| count.load(Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.nanoseconds.load(Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
