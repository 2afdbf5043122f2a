//! What a test program prints, as libtest does it, line by line: which tests have ended how, and when.

use std::time::{Duration, Instant};

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Passed,
    Failed,
    Ignored,
}

/// The tests of a program so far.
#[derive(Debug)]
pub(super) struct Follower {
    /// The test that has said its name and not yet how it ended.
    running: Option<String>,
    /// When the last one ended, where they run one after the other.
    turn: Option<Instant>,
    pub(super) seen: Seen,
}

/// What was seen of a program's tests.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) passed: u64,
    pub(super) failed: Vec<String>,
    /// Names of those left out, with the reason where one was given.
    pub(super) ignored: Vec<String>,
    /// How long each took, where that is known.
    pub(super) times: Vec<(String, Duration)>,
}

// === impl Follower ===

impl Follower {
    /// `turn` is when the first test begins, if they run one after the other.
    pub(super) fn new(turn: Option<Instant>) -> Self {
        Self { running: None, turn, seen: Seen::default() }
    }

    /// Reads a line. Returns the test that has ended by it.
    pub(super) fn line(&mut self, line: &str, now: Instant) -> Option<(String, End)> {
        let line = line.trim_end();
        if let Some((name, time)) = took(line) {
            self.seen.times.push((name.to_owned(), time));
            return None;
        }
        if let Some((name, rest)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ...")) {
            self.running = Some(name.trim_end().to_owned());
            return self.end(rest.trim_start(), now);
        }
        // What the test has printed stands between its name and this.
        if matches!(line, "ok" | "FAILED") { self.end(line, now) } else { None }
    }

    fn end(&mut self, said: &str, now: Instant) -> Option<(String, End)> {
        let end = [("ok", End::Passed), ("FAILED", End::Failed), ("ignored", End::Ignored)];
        let (_, end) = end.into_iter().find(|(word, _)| said.starts_with(word))?;
        let name = self.running.take()?;
        if let Some(since) = self.turn {
            self.seen.times.push((name.clone(), now.saturating_duration_since(since)));
            self.turn = Some(now);
        }
        match end {
            End::Passed => self.seen.passed += 1,
            End::Failed => self.seen.failed.push(name.clone()),
            // `ignored, REASON`
            End::Ignored => self.seen.ignored.push(name.clone() + said.trim_start_matches("ignored")),
        }
        Some((name, end))
    }
}

/// The line of a test that runs beside others and measures itself: `took 12.3 s: NAME`.
fn took(line: &str) -> Option<(&str, Duration)> {
    let (seconds, name) = line.strip_prefix("took ")?.split_once(" s: ")?;
    Some((name, Duration::try_from_secs_f32(seconds.parse().ok()?).ok()?))
}

#[cfg(test)]
mod tests {
    use rollcall_e2e::clock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn tests_in_turn_take_the_time_since_the_last() {
        let start = clock::now();
        let mut follower = Follower::new(Some(start));
        let lines = ["running 3 tests", "test a::b ... ok", "test c ... ", "  it says this", "ok", "test d ... FAILED"];
        let ends: Vec<_> =
            (0..).zip(lines).filter_map(|(index, line)| follower.line(line, start + SECOND * index)).collect();
        let named = |name: &str, end| (name.to_owned(), end);
        assert_eq!(ends, [named("a::b", End::Passed), named("c", End::Passed), named("d", End::Failed)]);
        let times = [("a::b".to_owned(), SECOND), ("c".to_owned(), SECOND * 3), ("d".to_owned(), SECOND)];
        assert_eq!(follower.seen.times, times);
        assert_eq!((follower.seen.passed, follower.seen.failed.len()), (2, 1));
    }

    #[test]
    fn tests_side_by_side_say_themselves_how_long_they_took() {
        let now = clock::now();
        let mut follower = Follower::new(None);
        for line in ["took 2.5 s: b", "test b ... ok", "test a ... ignored, no root here", "test result: ok. 1 passed"]
        {
            follower.line(line, now);
        }
        assert_eq!(follower.seen.times, [("b".to_owned(), Duration::from_millis(2500))]);
        assert_eq!(follower.seen.ignored, ["a, no root here"]);
        assert_eq!(follower.seen.passed, 1);
    }
}
