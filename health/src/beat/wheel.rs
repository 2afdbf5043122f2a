//! A timer wheel: a turn costs what is due, however much is not.

/// Items by the moment at which they are to be looked at. A late look is the caller's to notice: what is farther than the
/// wheel reaches comes up early, and is put back.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: Vec<Vec<T>>,
    /// The step up to which it has turned.
    step: u64,
}

/// Milliseconds of a step.
pub const STEP_MS: u64 = 50;
/// Steps of a turn: 25.6 s.
const SLOTS: u64 = 512;

// === impl Wheel ===

impl<T> Wheel<T> {
    /// Looks at `item` at `due_ms` or up to a step later, and earlier if that is farther than a turn.
    pub fn put(&mut self, due_ms: u64, item: T) {
        let step = due_ms.div_ceil(STEP_MS).clamp(self.step + 1, self.step + SLOTS - 1);
        if let Some(slot) = usize::try_from(step % SLOTS).ok().and_then(|slot| self.slots.get_mut(slot)) {
            slot.push(item);
        }
    }

    /// Turns it to `now_ms`: what is to be looked at.
    pub fn turn(&mut self, now_ms: u64) -> Vec<T> {
        let until = now_ms / STEP_MS;
        let mut due = Vec::new();
        // After a long time each slot is emptied once.
        let steps = until.saturating_sub(self.step).min(SLOTS);
        for step in (until + 1 - steps)..=until {
            if let Some(slot) = usize::try_from(step % SLOTS).ok().and_then(|slot| self.slots.get_mut(slot)) {
                if due.is_empty() {
                    // Also gives its room back.
                    due = std::mem::take(slot);
                } else {
                    due.append(slot);
                }
            }
        }
        self.step = self.step.max(until);
        due
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), step: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_item_comes_once_not_late_and_early_only_by_whole_turns(
            due in proptest::collection::vec(0_u64..40_000, 1..100),
            gaps in proptest::collection::vec(1_u64..2_000, 1..200),
        ) {
            let mut wheel = Wheel::default();
            due.iter().for_each(|due_ms| wheel.put(*due_ms, *due_ms));
            let (mut now_ms, mut before_ms, mut left) = (0, 0, due.len());
            for gap in gaps.into_iter().chain([60_000]) {
                now_ms += gap;
                for due_ms in wheel.turn(now_ms) {
                    if due_ms > now_ms {
                        prop_assert!(due_ms > (SLOTS - 2) * STEP_MS, "{due_ms} is within a turn and came at {now_ms}");
                        wheel.put(due_ms, due_ms);
                        continue;
                    }
                    left -= 1;
                    prop_assert!(due_ms + STEP_MS > before_ms, "{due_ms} was due before {before_ms}");
                }
                before_ms = now_ms;
            }
            prop_assert_eq!(left, 0);
        }
    }
}
