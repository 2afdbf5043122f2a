//! From results in a row to the health of one check.

use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use crate::definition::Thresholds;
use crate::ledger::Evidence;
use crate::outcome::Outcome;
use crate::told::Told;

/// The state of one check on one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckState {
    health: Health,
    since_ms: i64,
    told: Told,
    streak: Streak,
    has_passed: bool,
    /// When it was last seen alive, and when it failed for the first time since, of the monotonic clock.
    alive_ms: Option<u64>,
    failed_ms: Option<u64>,
}

/// Results of one kind in a row. Another kind ends it: kinds never add up, but that a warning is no failure either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Streak {
    kind: Option<Kind>,
    length: u16,
    /// Results in a row that were no failures.
    fine: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Success,
    Warning,
    Failure,
}

/// When a check is due next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At once: a first failure is doubted, and asked again before it counts for more.
    Repeat,
    /// After the retry interval: further failures until it is decided, and what we could not find out ourselves.
    Retry,
    /// It has never passed and fails on, so often by now: after the retry interval, and slowly more.
    Await(u16),
    /// At the next point of its phase.
    Interval,
}

// === impl CheckState ===

impl CheckState {
    /// A check that has not run: Unknown, so its endpoint is not given to callers before it passes.
    pub fn unknown(now: Now) -> Self {
        let reason = Told::inherited("not checked yet".into());
        Self {
            health: Health::Unknown,
            since_ms: now.wall_ms,
            told: reason,
            streak: Streak::default(),
            has_passed: false,
            alive_ms: None,
            failed_ms: None,
        }
    }

    /// A check that has not run, of which its owner wrote what it is to be taken for until results decide.
    pub fn initial(initial: Health, now: Now) -> Self {
        match initial {
            Health::Unknown | Health::Maintenance => Self::unknown(now),
            Health::Passing | Health::Warning | Health::Critical => Self {
                health: initial,
                told: Told::inherited(format!("{initial} by its initialStatus; not checked yet").into()),
                has_passed: initial.is_callable(),
                ..Self::unknown(now)
            },
        }
    }

    /// A check that takes up what is known already, from an earlier process or from what callers have: that stands until
    /// as many results as the threshold says speak against it.
    pub fn inherited(health: Health, since_ms: i64, reason: Name) -> Self {
        let (streak, told) = (Streak::default(), Told::inherited(reason));
        Self { health, since_ms, told, streak, has_passed: true, alive_ms: None, failed_ms: None }
    }

    /// A check that goes on where another replica was.
    pub fn taken_over(evidence: &Evidence) -> Self {
        let has_passed = evidence.health != Health::Unknown;
        Self { has_passed, ..Self::inherited(evidence.health, evidence.since_ms, Name::clone(&evidence.reason)) }
    }

    /// Further failures after the next one until what callers have now turns Critical; `None` if callers do not have it.
    pub fn left(&self, thresholds: Thresholds) -> Option<u16> {
        let length = if self.streak.kind == Some(Kind::Failure) { self.streak.length } else { 0 };
        let needed = u16::from(thresholds.failures.max(1));
        self.health.is_callable().then(|| needed.saturating_sub(length.saturating_add(1)))
    }

    /// Failures in a row so far.
    pub fn failures(&self) -> u16 {
        if self.streak.kind == Some(Kind::Failure) { self.streak.length } else { 0 }
    }

    /// The failures so far are enough.
    pub fn convict(&mut self, saw: &Name, now: Now) {
        if self.health == Health::Critical {
            return;
        }
        (self.health, self.since_ms) = (Health::Critical, now.wall_ms);
        self.told.decided(saw, now);
    }

    /// The failures so far count for nothing, nor what was decided by them.
    pub fn acquit(&mut self, now: Now) {
        self.streak = Streak::default();
        if self.health == Health::Critical {
            (self.health, self.since_ms) = (Health::Passing, now.wall_ms);
            self.told.decided(&"is reached by others".into(), now);
        }
    }

    /// What it is decided to be.
    pub fn health(&self) -> Health {
        self.health
    }

    /// What it says about its endpoint.
    pub fn evidence(&self) -> Evidence {
        Evidence { health: self.health, since_ms: self.since_ms, reason: Name::clone(self.told.reason()) }
    }

    /// When it was last seen alive, and when it failed for the first time since; `None` unless both were seen here.
    pub fn failed_since(&self) -> Option<(u64, u64)> {
        self.alive_ms.zip(self.failed_ms)
    }

    /// Takes in a result; says when to ask again.
    pub fn observe(&mut self, outcome: &Outcome, thresholds: Thresholds, now: Now) -> Next {
        let (kind, saw) = match outcome {
            Outcome::Success(saw) => (Kind::Success, saw),
            Outcome::Warning(saw) => (Kind::Warning, saw),
            Outcome::Failure(saw) => (Kind::Failure, saw),
            Outcome::LocalFault(_, saw) => {
                // Says nothing about the target, so it neither counts nor ends a streak; who waits is told why.
                if self.health == Health::Unknown {
                    self.told.saw(saw, now);
                }
                return Next::Retry;
            }
        };
        self.streak.add(kind);
        if kind == Kind::Failure {
            self.failed_ms.get_or_insert(now.mono_ms);
        } else {
            (self.alive_ms, self.failed_ms) = (Some(now.mono_ms), None);
        }
        // What is callable stays so until as many of one kind speak of another; what is not needs as many that are no failure.
        let (target, length, needed) = match kind {
            Kind::Failure => (Health::Critical, self.streak.length, thresholds.failures),
            Kind::Warning if self.health.is_callable() => (Health::Warning, self.streak.length, thresholds.failures),
            Kind::Warning => (Health::Warning, self.streak.fine, thresholds.successes),
            Kind::Success if self.health.is_callable() => (Health::Passing, self.streak.length, thresholds.successes),
            Kind::Success => (Health::Passing, self.streak.fine, thresholds.successes),
        };
        if self.health != target && length >= u16::from(needed.max(1)) {
            self.health = target;
            self.since_ms = now.wall_ms;
            self.told.decided(saw, now);
        } else if self.health == target || self.health == Health::Unknown {
            self.told.saw(saw, now);
        }
        self.has_passed |= self.health.is_callable();
        self.next(kind)
    }

    fn next(&self, kind: Kind) -> Next {
        match (kind, self.health) {
            (Kind::Failure, Health::Critical) if !self.has_passed => Next::Await(self.streak.length),
            (Kind::Failure, Health::Critical) => Next::Interval,
            (Kind::Failure, _) if self.streak.length == 1 => Next::Repeat,
            (Kind::Failure, _) => Next::Retry,
            (Kind::Success | Kind::Warning, Health::Passing | Health::Warning) => Next::Interval,
            (Kind::Success | Kind::Warning, _) if !self.has_passed => Next::Retry,
            (Kind::Success | Kind::Warning, _) => Next::Interval,
        }
    }
}

// === impl Streak ===

impl Streak {
    fn add(&mut self, kind: Kind) {
        let length = if self.kind == Some(kind) { self.length.saturating_add(1) } else { 1 };
        let fine = if kind == Kind::Failure { 0 } else { self.fine.saturating_add(1) };
        *self = Self { kind: Some(kind), length, fine };
    }
}

#[cfg(test)]
mod tests;
