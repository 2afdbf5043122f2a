//! A clock that stands still while this process does.

/// Milliseconds in which this process was awake. A process that slept (stopped by a debugger, starved of CPU, its machine
/// suspended) could not hear anybody in that time, so nobody's silence counts. It also convicts nobody for a while after it
/// woke, in which it takes in what has come meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Awake {
    awake_ms: u64,
    /// The monotonic clock when it was read last; `None` before.
    read_ms: Option<u64>,
    /// Until when nobody is convicted.
    dazed_until_ms: u64,
    stalls: u64,
}

/// How often the clock is to be read.
pub const TICK_MS: u64 = 50;
/// Who reads it later than this has slept.
pub const STALL_MS: u64 = 500;

// === impl Awake ===

impl Awake {
    /// Reads the monotonic clock, each [`TICK_MS`].
    pub fn tick(&mut self, mono_ms: u64) {
        let Some(before_ms) = self.read_ms.replace(mono_ms) else { return };
        let passed_ms = mono_ms.saturating_sub(before_ms);
        if passed_ms <= STALL_MS {
            self.awake_ms += passed_ms;
        } else {
            self.awake_ms += TICK_MS;
            self.daze(STALL_MS);
            self.stalls += 1;
        }
    }

    /// What is heard elsewhere does not come: nobody is convicted for a while.
    pub fn daze(&mut self, for_ms: u64) {
        self.dazed_until_ms = self.dazed_until_ms.max(self.awake_ms + for_ms);
    }

    /// Nobody listened until now, and nothing was to be heard: the time before does not count, and is no stall.
    pub fn resume(&mut self, mono_ms: u64) {
        self.read_ms = Some(mono_ms);
    }

    /// The time awake at a moment after the last tick.
    pub fn at(&self, mono_ms: u64) -> u64 {
        let since_ms = self.read_ms.map_or(0, |read_ms| mono_ms.saturating_sub(read_ms));
        self.awake_ms + since_ms.min(STALL_MS)
    }

    /// The time awake at the last tick.
    pub fn now_ms(&self) -> u64 {
        self.awake_ms
    }

    /// Whether nobody is convicted now, and until when.
    pub fn dazed_until_ms(&self) -> Option<u64> {
        Some(self.dazed_until_ms).filter(|until_ms| self.awake_ms < *until_ms)
    }

    /// How often it slept.
    pub fn stalls(&self) -> u64 {
        self.stalls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_does_not_count_and_is_followed_by_a_daze() {
        let mut awake = Awake::default();
        awake.tick(10_000);
        (1..=20).for_each(|tick| awake.tick(10_000 + tick * TICK_MS));
        assert_eq!((awake.now_ms(), awake.stalls(), awake.dazed_until_ms()), (1_000, 0, None));
        awake.tick(71_000);
        assert_eq!((awake.now_ms(), awake.stalls(), awake.dazed_until_ms()), (1_050, 1, Some(1_550)));
        (1..=10).for_each(|tick| awake.tick(71_000 + tick * TICK_MS));
        assert_eq!((awake.now_ms(), awake.dazed_until_ms()), (1_550, None), "awake for long enough");
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let mut awake = Awake::default();
        awake.tick(5_000);
        awake.tick(1_000);
        awake.tick(1_050);
        assert_eq!((awake.now_ms(), awake.stalls()), (50, 0));
        assert_eq!(awake.at(0), 50);
    }
}
