//! A net beneath all lines: no place in the code floods the log, whoever found the way to make it speak.
//!
//! Places that strangers are known to reach have a [`LogRate`] of their own, which is stricter and tells more.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tracing::callsite::Identifier;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

use super::counts;
use super::rate::LogRate;

#[cfg(test)]
mod tests;

/// Bounds the lines of each place in the code that logs. Those at `debug` and `trace` were asked for, and pass. Clones are
/// the same.
#[derive(Clone, Default)]
pub(super) struct Net {
    places: Arc<RwLock<HashMap<Identifier, Arc<Place>>>>,
}

struct Place {
    metadata: &'static Metadata<'static>,
    rate: LogRate,
}

/// Our own: a verdict of each of many endpoints is worth a line.
const OURS: (u32, Duration) = (1000, Duration::from_millis(10));
/// Those of libraries speak of single packets and connections.
const OF_LIBRARIES: (u32, Duration) = (5, Duration::from_secs(10));

// === impl Net ===

impl Net {
    /// Says what was withheld or dropped since the last call of the same closure.
    pub(super) fn summary(&self) -> impl FnMut() + Send + 'static {
        let (net, mut dropped) = (self.clone(), 0);
        move || {
            let places: Vec<_> = net.places().values().cloned().collect();
            for Place { metadata, rate } in places.iter().map(|place| &**place) {
                let (withheld, line) = (rate.take_unsaid(), metadata.line().unwrap_or(0));
                if withheld > 0 {
                    let (source, file) = (metadata.target(), metadata.file().unwrap_or_default());
                    tracing::warn!(withheld, source, file, line, "the same was said too often");
                }
            }
            let in_all = counts::DROPPED.get();
            if in_all > dropped {
                tracing::warn!(lines = in_all - dropped, "log lines were dropped: who reads them is too slow");
                dropped = in_all;
            }
        }
    }

    fn places(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Identifier, Arc<Place>>> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, metadata: &'static Metadata<'static>) -> Arc<Place> {
        if let Some(place) = self.places().get(&metadata.callsite()) {
            return Arc::clone(place);
        }
        let (burst, every) = if metadata.target().starts_with("rollcall") { OURS } else { OF_LIBRARIES };
        let place = || Arc::new(Place { metadata, rate: LogRate::new(burst, every) });
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(metadata.callsite()).or_insert_with(place))
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("places", &self.places().len()).finish()
    }
}

impl<S> Filter<S> for Net {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    /// Never "always": where that is remembered, the filters' state is not reset after an event that is withheld.
    fn callsite_enabled(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        *metadata.level() > Level::INFO || self.place(metadata).rate.permit().is_some()
    }
}
