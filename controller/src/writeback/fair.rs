//! Which of the targets that are due goes next: kinds by weight, namespaces in turn, in each the oldest first.
//!
//! So a namespace whose endpoints flap delays its own objects and nobody else's, and slices that change all the time do
//! not keep statuses and entries from being written.

use std::collections::{HashMap, HashSet, VecDeque};

use rollcall_catalog::model::Name;

use super::queue::Target;

/// Targets that are due, each once.
#[derive(Debug, Default)]
pub struct Fair {
    lanes: [Lane; 3],
    all: HashSet<Target>,
    /// How far the lane was that was served last: one that was empty meanwhile has no claim on the past.
    floor: u64,
}

/// Targets of one kind.
#[derive(Debug, Default)]
struct Lane {
    /// Grows with each turn, by the lane's stride; the least goes first.
    passed: u64,
    turns: VecDeque<Name>,
    of: HashMap<Name, VecDeque<Target>>,
}

/// Room for so many targets is kept while none is due.
pub(super) const ROOM: usize = 256;

/// What a turn costs: of seven turns four are for slices, two for statuses, one for an entry, as long as all wait.
const STRIDES: [u64; 3] = [1, 2, 4];

// === impl Fair ===

impl Fair {
    /// A target is due, behind those of its kind and namespace that are already.
    pub fn push(&mut self, target: Target) {
        if !self.all.insert(target.clone()) {
            return;
        }
        let lane = &mut self.lanes[lane(&target)];
        if lane.turns.is_empty() {
            lane.passed = lane.passed.max(self.floor);
        }
        let namespace = Name::clone(target.namespace());
        let waiting = lane.of.entry(Name::clone(&namespace)).or_default();
        if waiting.is_empty() {
            lane.turns.push_back(namespace);
        }
        waiting.push_back(target);
    }

    /// Takes the target whose turn it is.
    pub fn pop(&mut self) -> Option<Target> {
        let waiting = self.lanes.iter().enumerate().filter(|(_, lane)| !lane.turns.is_empty());
        let (at, _) = waiting.min_by_key(|(at, lane)| (lane.passed, *at))?;
        let lane = &mut self.lanes[at];
        self.floor = lane.passed;
        lane.passed += STRIDES[at];
        let target = lane.pop()?;
        self.all.remove(&target);
        if self.all.is_empty() {
            // At the start all targets are due at once, and hardly ever again.
            self.all.shrink_to(ROOM);
        }
        Some(target)
    }

    /// Whether a target is due.
    pub fn contains(&self, target: &Target) -> bool {
        self.all.contains(target)
    }

    /// How many are due.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether none is due.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

// === impl Lane ===

impl Lane {
    fn pop(&mut self) -> Option<Target> {
        let namespace = self.turns.pop_front()?;
        let waiting = self.of.get_mut(&namespace)?;
        let target = waiting.pop_front();
        if waiting.is_empty() {
            self.of.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        target
    }
}

fn lane(target: &Target) -> usize {
    match target {
        Target::Slices(_) => 0,
        Target::Status(_) | Target::Policy(_) => 1,
        Target::Entry(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::model::ServiceKey;

    use super::*;
    use crate::kubernetes::ObjectKey;

    fn slices(namespace: &str, name: &str) -> Target {
        Target::Slices(ServiceKey::new(namespace, name))
    }

    fn status(namespace: &str) -> Target {
        Target::Status(ObjectKey { namespace: namespace.into(), name: "vms".into() })
    }

    #[test]
    fn a_namespace_with_much_to_write_delays_no_other() {
        let mut fair = Fair::default();
        for n in 0..100 {
            fair.push(slices("aaa", &format!("s{n}")));
        }
        fair.push(slices("zzz", "only"));
        let order: Vec<_> = std::iter::from_fn(|| fair.pop()).take(2).collect();
        assert_eq!(order, [slices("aaa", "s0"), slices("zzz", "only")]);
    }

    #[test]
    fn slices_that_are_due_all_the_time_leave_statuses_their_share() {
        let mut fair = Fair::default();
        fair.push(status("zzz"));
        fair.push(Target::Entry(ServiceKey::new("zzz", "only")));
        let mut served = 0;
        for n in 0..7 {
            fair.push(slices("aaa", &format!("s{n}")));
            served += usize::from(!matches!(fair.pop(), Some(Target::Slices(_))));
        }
        assert_eq!(served, 2);
    }

    #[test]
    fn who_waited_longest_goes_first_and_each_is_there_once() {
        let mut fair = Fair::default();
        for name in ["b", "a", "b"] {
            fair.push(slices("shop", name));
        }
        let order: Vec<_> = std::iter::from_fn(|| fair.pop()).collect();
        assert_eq!(order, [slices("shop", "b"), slices("shop", "a")]);
    }
}
