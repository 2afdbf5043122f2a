//! Questions that failed of late, so that they are not asked again at once (RFC 2308 §7, RFC 9520). Pure.
//!
//! A question that failed is answered SERVFAIL for a second, and twice as long each further time in a row. It is
//! forgotten when servers come back: their silence may have been the reason.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use tokio::time::Instant;

use crate::answer::edns::ExtendedError;

/// The failures.
#[derive(Debug, Default)]
pub struct Failures {
    known: HashMap<Question, Failed>,
    /// In the order in which they came; a question may be in it several times.
    order: VecDeque<(Instant, u64, Question)>,
    count: u64,
    epoch: u64,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    name: Name,
    rtype: RecordType,
    /// Without validation it may be answered (RFC 4035 §3.2.2).
    checking_disabled: bool,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    error: ExtendedError,
    until: Instant,
    /// For how long it was remembered.
    pause: Duration,
    /// Which failure it was: a later one of the same question has another number.
    number: u64,
}

/// How long the first failure is remembered (RFC 9520 §3.2: at least that).
pub const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How long any failure is: a name whose servers come back is not to be missing for long.
pub const PAUSE_MAX: Duration = Duration::from_secs(8);
/// Failures remembered at once, of at most about 400 bytes each; the oldest goes.
pub const FAILURES_MAX: usize = 4096;
/// For how long a failure counts as the one before the next.
const IN_A_ROW: Duration = Duration::from_secs(30);

// === impl Question ===

impl Question {
    /// A question, whatever the case of its name.
    pub fn new(name: &Name, rtype: RecordType, checking_disabled: bool) -> Self {
        Self { name: name.to_lowercase(), rtype, checking_disabled }
    }
}

// === impl Failures ===

impl Failures {
    /// Why a question is not to be asked now. `epoch` changes when servers come back.
    pub fn of(&mut self, question: &Question, epoch: u64, now: Instant) -> Option<ExtendedError> {
        self.forget(epoch, now);
        self.known.get(question).filter(|failed| now < failed.until).map(|failed| failed.error)
    }

    /// A question has failed.
    pub fn add(&mut self, question: Question, error: ExtendedError, epoch: u64, now: Instant) {
        self.forget(epoch, now);
        let before = self.known.get(&question).map_or(Duration::ZERO, |failed| failed.pause);
        let pause = (2 * before).clamp(PAUSE_MIN, PAUSE_MAX);
        self.count += 1;
        let number = self.count;
        self.known.insert(question.clone(), Failed { error, until: now + pause, pause, number });
        self.order.push_back((now, number, question));
        while self.order.len() > FAILURES_MAX {
            self.drop_oldest();
        }
    }

    /// A question was answered.
    pub fn remove(&mut self, question: &Question) {
        self.known.remove(question);
    }

    fn forget(&mut self, epoch: u64, now: Instant) {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
        while self.order.front().is_some_and(|(came, ..)| *came + IN_A_ROW <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((_, number, question)) = self.order.pop_front() else { return };
        // One that failed again since is in the order once more.
        if self.known.get(&question).is_some_and(|failed| failed.number == number) {
            self.known.remove(&question);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: ExtendedError = ExtendedError::NoReachableAuthority;

    fn question(name: &str) -> Question {
        Question::new(&Name::from_ascii(name).unwrap(), RecordType::A, false)
    }

    #[tokio::test]
    async fn a_failure_is_remembered_twice_as_long_each_time_up_to_a_bound() {
        let (mut failures, mut now) = (Failures::default(), Instant::now());
        let asked = question("www.EXAMPLE.com.");
        for seconds in [1, 2, 4, 8, 8] {
            failures.add(question("www.example.com."), ERROR, 0, now);
            now += Duration::from_secs(seconds);
            assert_eq!(failures.of(&asked, 0, now - Duration::from_millis(1)), Some(ERROR));
            assert_eq!(failures.of(&asked, 0, now), None, "after {seconds} s");
        }
        failures.remove(&asked);
        failures.add(asked.clone(), ERROR, 0, now);
        assert_eq!(failures.of(&asked, 0, now + PAUSE_MIN), None, "it begins anew");
    }

    #[tokio::test]
    async fn types_and_validation_are_told_apart_and_all_is_forgotten_when_servers_come_back() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.add(question("a.example."), ERROR, 3, now);
        let name = Name::from_ascii("a.example.").unwrap();
        assert_eq!(failures.of(&Question::new(&name, RecordType::AAAA, false), 3, now), None);
        assert_eq!(failures.of(&Question::new(&name, RecordType::A, true), 3, now), None);
        assert_eq!(failures.of(&question("a.example."), 3, now), Some(ERROR));
        assert_eq!(failures.of(&question("a.example."), 4, now), None);
    }

    #[tokio::test]
    async fn no_more_than_the_bound_are_remembered_and_none_for_ever() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for n in 0..2 * FAILURES_MAX {
            failures.add(question(&format!("n{n}.example.")), ERROR, 0, now);
        }
        assert_eq!((failures.known.len(), failures.order.len()), (FAILURES_MAX, FAILURES_MAX));
        assert_eq!(failures.of(&question(&format!("n{}.example.", 2 * FAILURES_MAX - 1)), 0, now), Some(ERROR));
        for _ in 0..3 * FAILURES_MAX {
            failures.add(question("one.example."), ERROR, 0, now);
        }
        assert!(failures.known.len() <= FAILURES_MAX && failures.order.len() <= FAILURES_MAX);
        assert_eq!(failures.of(&question("one.example."), 0, now), Some(ERROR));
        assert_eq!(failures.of(&question("one.example."), 0, now + IN_A_ROW), None);
        assert_eq!((failures.known.len(), failures.order.len()), (0, 0));
    }
}
