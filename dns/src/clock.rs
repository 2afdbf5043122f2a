//! Time: the wall clock, for what people and other servers read (SOA serials, the time of the last update), and durations as
//! people write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the clock module; nothing decides on this time")]
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The longest that a flag may name.
const DURATION_MAX: Duration = Duration::from_secs(300);

/// A duration in a flag: 500ms, 5s, 1m, or seconds without a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("", 1000)];
    let read = |(unit, factor): (&str, u64)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(factor).map(Duration::from_millis)
    };
    let duration = units.into_iter().find_map(read).filter(|duration| *duration <= DURATION_MAX);
    duration.ok_or_else(|| "give a whole number with unit, such as 500ms, 5s or 1m, up to 5m".to_owned())
}
