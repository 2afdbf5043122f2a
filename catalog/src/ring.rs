//! The change ring: how a reader that holds an old snapshot learns which services changed since.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::ServiceKey;

/// A count of publications by this process. It orders snapshots of one process and means nothing elsewhere: what is
/// told to others are content versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// The last publications, as part of each snapshot. Old ones fall out; who is behind them starts over.
#[derive(Clone, Debug, Default)]
pub struct ChangeRing {
    batches: VecDeque<Batch>,
}

#[derive(Clone, Debug)]
struct Batch {
    revision: Revision,
    keys: Arc<[ServiceKey]>,
}

/// What happened since a revision.
#[derive(Debug, PartialEq, Eq)]
pub enum Changes {
    /// These services changed, were added or removed; without order, each once.
    Services(Vec<ServiceKey>),
    /// Too long ago to tell: read the whole snapshot.
    Resync,
}

/// Publications kept. At 1,000 changes a second, each published alone, a reader may be half a second behind.
const BATCHES: usize = 512;

// === impl ChangeRing ===

impl ChangeRing {
    /// Appends a publication.
    pub(crate) fn push(&mut self, revision: Revision, keys: Vec<ServiceKey>) {
        if self.batches.len() == BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back(Batch { revision, keys: keys.into() });
    }

    /// What changed after `seen`.
    pub(crate) fn since(&self, seen: Revision, now: Revision) -> Changes {
        if seen == now {
            return Changes::Services(Vec::new());
        }
        match self.batches.front() {
            Some(oldest) if oldest.revision.0 <= seen.0 + 1 => {}
            _ => return Changes::Resync,
        }
        let from = self.batches.partition_point(|batch| batch.revision <= seen);
        let mut keys: Vec<_> = self.batches.range(from..).flat_map(|batch| batch.keys.iter().cloned()).collect();
        keys.sort_unstable();
        keys.dedup();
        Changes::Services(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ServiceKey {
        ServiceKey::new("shop", name)
    }

    #[test]
    fn a_reader_learns_each_changed_service_once() {
        let mut ring = ChangeRing::default();
        ring.push(Revision(1), vec![key("a")]);
        ring.push(Revision(2), vec![key("b"), key("a")]);
        ring.push(Revision(3), vec![key("a")]);
        assert_eq!(ring.since(Revision(1), Revision(3)), Changes::Services(vec![key("a"), key("b")]));
        assert_eq!(ring.since(Revision(3), Revision(3)), Changes::Services(vec![]));
    }

    #[test]
    fn a_reader_that_fell_out_starts_over() {
        let mut ring = ChangeRing::default();
        for revision in 1..=BATCHES as u64 + 5 {
            ring.push(Revision(revision), vec![key("a")]);
        }
        let now = Revision(BATCHES as u64 + 5);
        assert_eq!(ring.since(Revision(4), now), Changes::Resync);
        assert_eq!(ring.since(Revision(5), now), Changes::Services(vec![key("a")]));
    }
}
