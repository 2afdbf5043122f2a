//! The log filter of a running process: `GET` and `PUT /debug/log-level`.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use jiff::SignedDuration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::clock::Wall;
use crate::filter::Filter;
use crate::routes::{Ask, Reply, Routes};

/// Where the filter is asked for and set.
pub const PATH: &str = "/debug/log-level";
/// How long a changed filter stays when the request does not say: debug logs that somebody forgot fill disks.
pub const STAYS: Duration = Duration::from_secs(3600);
/// How long a changed filter may stay. For longer, set `--log-level`.
pub const STAYS_MAX: Duration = Duration::from_secs(24 * 3600);

/// The log filter of this process. Clones are the same filter.
#[derive(Clone)]
pub struct LogLevel(Arc<Shared>);

type Apply = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

struct Shared {
    /// As the process was started, and falls back to.
    base: String,
    wall: Wall,
    apply: Apply,
    changed: Mutex<Changed>,
}

#[derive(Default)]
struct Changed {
    now: Option<(Filter, Instant)>,
    /// Ends it. The end of one that was replaced is not waited for.
    end: Option<AbortHandle>,
    /// Counts changes, so that the end of one does not end a later one.
    number: u64,
}

// === impl LogLevel ===

impl LogLevel {
    pub(crate) fn new(
        base: String,
        wall: Wall,
        apply: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared { base, wall, apply: Box::new(apply), changed: Mutex::default() }))
    }

    /// Adds the page.
    pub fn on(&self, routes: Routes) -> Routes {
        let (read, write) = (self.clone(), self.clone());
        routes.with_harmless(PATH, move |_| Reply::text(read.said())).with_put(PATH, move |ask| write.put(ask))
    }

    /// Logs by `filter` for a time, then as the process was started. Must be called within a runtime.
    pub fn set(&self, filter: Filter, stays: Duration) -> Result<(), String> {
        let until = Instant::now() + stays;
        let mut changed = self.changed();
        (self.0.apply)(filter.as_str())?;
        tracing::warn!(%filter, seconds = stays.as_secs(), "log filter changed");
        changed.now = Some((filter, until));
        changed.number += 1;
        let (number, level) = (changed.number, self.clone());
        let end = tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            level.fall_back(number);
        });
        if let Some(earlier) = changed.end.replace(end.abort_handle()) {
            earlier.abort();
        }
        Ok(())
    }

    fn fall_back(&self, number: u64) {
        let mut changed = self.changed();
        if changed.number != number {
            return;
        }
        changed.now = None;
        match (self.0.apply)(&self.0.base) {
            Ok(()) => tracing::warn!(filter = self.0.base, "log filter is again as it was at the start"),
            Err(error) => tracing::warn!(%error, "log filter cannot be set back"),
        }
    }

    fn put(&self, ask: Ask<'_>) -> Reply {
        let filter = String::from_utf8_lossy(ask.body).parse::<Filter>().map_err(|error| error.to_string());
        let done = filter.and_then(|filter| self.set(filter, stays(ask.query)?));
        match done {
            Ok(()) => Reply::text(self.said()),
            Err(error) => Reply::text(error + "\n").with_status(StatusCode::BAD_REQUEST),
        }
    }

    fn said(&self) -> String {
        let base = &self.0.base;
        match &self.changed().now {
            None => format!("{base}\n"),
            Some((filter, until)) => {
                let left = until.saturating_duration_since(Instant::now());
                let at = (self.0.wall)() + SignedDuration::from_secs(left.as_secs().try_into().unwrap_or(0));
                format!("{filter} until {at:.0} (for {} s), then {base}\n", left.as_secs())
            }
        }
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.0.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&self.said()).finish()
    }
}

/// `for=10m` in a query.
fn stays(query: &str) -> Result<Duration, String> {
    let Some(text) = query.split('&').find_map(|part| part.strip_prefix("for=")) else {
        return if query.is_empty() { Ok(STAYS) } else { Err(format!("{query:?} is not known here; give for=10m")) };
    };
    let seconds = [("s", 1), ("m", 60), ("h", 3600)]
        .into_iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(factor));
    let stays = seconds.map(Duration::from_secs).filter(|stays| !stays.is_zero() && *stays <= STAYS_MAX);
    stays.ok_or_else(|| {
        format!("for={text} cannot be used; give a whole number with unit, such as 30s, 10m or 2h, up to 24h")
    })
}

#[cfg(test)]
mod tests;
