//! How long a change takes from the watch that brings it to the catalog, and to the streams.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use rollcall_catalog::snapshot::Revision;
use tokio::sync::watch;
use tokio::time::Instant;

/// Measures once for each batch of the writer, by the statement in it that waited longest: an upper bound that costs
/// nothing for each statement.
#[derive(Debug)]
pub struct Propagation {
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    /// When the oldest statement of each revision arrived that has not been handed to the streams yet.
    waiting: Mutex<VecDeque<(Revision, Instant)>>,
    /// What the streams have been handed.
    handed: watch::Sender<Revision>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    stage: &'static str,
}

const CATALOG: Labels = Labels { stage: "catalog" };
const STREAMS: Labels = Labels { stage: "streams" };
/// Revisions that wait at most; for further ones the way to the streams is not measured.
const WAITING_MAX: usize = 1024;

// === impl Propagation ===

impl Default for Propagation {
    fn default() -> Self {
        let seconds = Family::<Labels, Histogram, fn() -> Histogram>::new_with_constructor(histogram);
        drop(seconds.get_or_create(&CATALOG));
        drop(seconds.get_or_create(&STREAMS));
        Self { seconds, waiting: Mutex::default(), handed: watch::Sender::default() }
    }
}

impl Propagation {
    /// Registers `rollcall_catalog_propagation_seconds`.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Time from the arrival of a change at this replica (a watch's event, a check's verdict) to the \
                    catalog that readers see (catalog) and to its encoded resources being handed to the streams \
                    (streams), by the slowest change of each batch. Milliseconds when all is well; bursts of changes \
                    take longer";
        registry.register_with_unit("rollcall_catalog_propagation", help, Unit::Seconds, self.seconds.clone());
    }

    /// A revision is about to be seen by readers; its oldest statement arrived then.
    pub(crate) fn published(&self, revision: Revision, arrived: Instant) {
        self.seconds.get_or_create(&CATALOG).observe(arrived.elapsed().as_secs_f64());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push_back((revision, arrived));
        }
    }

    /// Up to which revision the streams have been handed everything.
    pub fn watch_handed(&self) -> watch::Receiver<Revision> {
        self.handed.subscribe()
    }

    /// The streams have been handed everything up to a revision.
    pub(crate) fn handed(&self, revision: Revision) {
        self.handed.send_replace(revision);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, arrived)) = waiting.front().copied().filter(|(waits, _)| *waits <= revision) {
            waiting.pop_front();
            self.seconds.get_or_create(&STREAMS).observe(arrived.elapsed().as_secs_f64());
        }
    }
}

fn histogram() -> Histogram {
    Histogram::new([0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(propagation: &Propagation, wanted: &str) -> String {
        let mut registry = Registry::default();
        propagation.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        text.lines().find(|line| line.contains(wanted)).unwrap_or_default().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_revision_is_measured_at_the_catalog_and_again_at_the_streams() {
        let propagation = Propagation::default();
        let arrived = Instant::now();
        tokio::time::advance(Duration::from_millis(4)).await;
        propagation.published(Revision(1), arrived);
        propagation.published(Revision(2), arrived);
        tokio::time::advance(Duration::from_millis(4)).await;
        propagation.handed(Revision(1));
        assert!(line(&propagation, "_count{stage=\"catalog\"}").ends_with(" 2"));
        assert!(line(&propagation, "_count{stage=\"streams\"}").ends_with(" 1"));
        assert!(line(&propagation, "le=\"0.01\",stage=\"streams\"").ends_with(" 1"));
        propagation.handed(Revision(2));
        assert!(line(&propagation, "_count{stage=\"streams\"}").ends_with(" 2"));
    }
}
