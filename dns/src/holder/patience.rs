//! How often a server that dies is started again.

use std::time::Duration;

/// Remembers the deaths that followed each other closely.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// Servers in a row that lived for less than [`SHORT_LIFE`].
    short: u32,
}

/// A server that dies earlier has hardly answered.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// The wait before the second of them in a row; it doubles.
const WAIT: Duration = Duration::from_millis(100);
/// After so many in a row nothing is gained by another. The holder ends, and whoever started it is told.
const SHORT_MAX: u32 = 6;

// === impl Patience ===

impl Patience {
    /// How long to wait before the next server, when one has died after a time; `None` when there should be none.
    pub fn after(&mut self, lived: Duration) -> Option<Duration> {
        self.short = if lived < SHORT_LIFE { self.short + 1 } else { 0 };
        match self.short {
            0 | 1 => Some(Duration::ZERO),
            SHORT_MAX.. => None,
            short => Some(WAIT * 2_u32.pow(short - 2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_costs_no_wait_and_one_after_the_other_ends_it() {
        let (brief, long) = (Duration::from_secs(1), Duration::from_secs(60));
        let mut patience = Patience::default();
        let waits: Vec<_> = (0..6).map(|_| patience.after(brief).map(|wait| wait.as_millis())).collect();
        assert_eq!(waits, [Some(0), Some(100), Some(200), Some(400), Some(800), None]);
        let mut patience = Patience::default();
        for _ in 0..20 {
            assert_eq!(patience.after(brief), Some(Duration::ZERO));
            assert_eq!(patience.after(long), Some(Duration::ZERO), "it had lived: nothing is counted on");
        }
    }
}
