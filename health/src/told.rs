//! Which of a check's reasons is told: the latest, but not each of two that alternate.

use rollcall_catalog::model::Name;
use rollcall_catalog::time::Now;

/// The reason that is told, and the latest one.
///
/// Every reason that is told is written into objects and wakes watchers. So a new one replaces the old when it was seen
/// twice in a row, and not sooner than [`PAUSE_MS`] after the one before; a transition is always told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    told: Name,
    at_ms: Option<u64>,
    latest: Name,
}

/// From one reason that is told to the next, in milliseconds.
const PAUSE_MS: u64 = 10_000;

// === impl Told ===

impl Told {
    /// A reason that came from elsewhere: the first of one's own replaces it.
    pub fn inherited(reason: Name) -> Self {
        Self { latest: Name::clone(&reason), told: reason, at_ms: None }
    }

    /// What is told.
    pub fn reason(&self) -> &Name {
        &self.told
    }

    /// Tells `saw` from now on.
    pub fn decided(&mut self, saw: &Name, now: Now) {
        *self = Self { told: Name::clone(saw), at_ms: Some(now.mono_ms), latest: Name::clone(saw) };
    }

    /// Takes in what was seen without a transition.
    pub fn saw(&mut self, saw: &Name, now: Now) {
        let twice = self.latest == *saw;
        let due = self.at_ms.is_none_or(|at_ms| twice && now.mono_ms.saturating_sub(at_ms) >= PAUSE_MS);
        self.latest = Name::clone(saw);
        if due && self.told != *saw {
            self.told = Name::clone(saw);
        }
        if due {
            self.at_ms = Some(now.mono_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now { mono_ms: seconds * 1000, wall_ms: 0 }
    }

    #[test]
    fn the_first_reason_of_ones_own_replaces_an_inherited_one() {
        let mut told = Told::inherited("answered 503 on the old port".into());
        told.saw(&"was refused".into(), at(1));
        assert_eq!(&**told.reason(), "was refused");
    }

    #[test]
    fn a_lasting_new_reason_is_told_and_alternating_ones_are_not() {
        let mut told = Told::inherited("not checked yet".into());
        told.decided(&"was refused".into(), at(0));
        for second in 1..=100 {
            let saw = if second % 2 == 0 { "was refused" } else { "answered 503" };
            told.saw(&saw.into(), at(second));
            assert_eq!(&**told.reason(), "was refused");
        }
        told.saw(&"answered 503".into(), at(101));
        told.saw(&"answered 503".into(), at(102));
        assert_eq!(&**told.reason(), "answered 503");
    }
}
