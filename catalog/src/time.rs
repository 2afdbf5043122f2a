//! Time, as a parameter.

/// A moment, by both clocks. The catalog reads none: whoever calls it says what time it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Milliseconds of this process's monotonic clock. Every span and every bound is judged by it.
    pub mono_ms: u64,
    /// Milliseconds since the epoch, for what people are told.
    pub wall_ms: i64,
}
