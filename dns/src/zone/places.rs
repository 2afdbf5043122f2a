//! Some of a service's endpoints, by their places.

use std::ops::Range;
use std::sync::Arc;

/// Places among the instances of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// Neighbours.
    Run(Range<u32>),
    /// Any.
    Some(Arc<[u32]>),
}

/// Runs of places, as they are found.
pub(super) enum Runs {
    None,
    One(Range<u32>),
    Some(Vec<u32>),
}

// === impl Runs ===

impl Runs {
    /// One more.
    pub(super) fn push(&mut self, run: Range<u32>) {
        *self = match std::mem::replace(self, Self::None) {
            Self::None => Self::One(run),
            Self::One(first) => Self::Some(first.chain(run).collect()),
            Self::Some(mut all) => {
                all.extend(run);
                Self::Some(all)
            }
        };
    }
}

// === impl Places ===

impl From<Runs> for Places {
    fn from(runs: Runs) -> Self {
        match runs {
            Runs::None => Self::Run(0..0),
            Runs::One(run) => Self::Run(run),
            Runs::Some(all) => Self::Some(all.into()),
        }
    }
}

impl Places {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Run(run) => run.len(),
            Self::Some(all) => all.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them.
    pub fn get(&self, at: usize) -> Option<usize> {
        match self {
            Self::Run(run) => (at < run.len()).then(|| run.start as usize + at),
            Self::Some(all) => all.get(at).map(|place| *place as usize),
        }
    }
}
