//! The table that people read.

use std::fmt::Write;
use std::time::Duration;

use super::problem::Problem;

/// The outcome of one trial.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was asked, where.
    pub asked: String,
    /// The protocol.
    pub over: &'static str,
    /// What was answered.
    pub result: Result<String, Problem>,
    /// By the last attempt.
    pub took: Duration,
    /// Before it.
    pub waited: Duration,
}

/// Whether colours are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// On a terminal.
    Colours,
    /// Anywhere else.
    Plain,
}

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

// === impl Row ===

impl Row {
    /// Whether it succeeded.
    pub fn is_ok(&self) -> bool {
        self.result.is_ok()
    }

    fn time(&self) -> String {
        let took = if self.took < Duration::from_secs(1) {
            format!("{:.1} ms", self.took.as_secs_f64() * 1000.0)
        } else {
            format!("{:.1} s", self.took.as_secs_f64())
        };
        match self.waited.as_secs() {
            0 => took,
            seconds => format!("{took} after {seconds} s"),
        }
    }
}

/// The table, each failure followed by its remedy, and the sum of it.
pub fn table(rows: &[Row], paint: Paint) -> String {
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (asked, over) = (width(|row| row.asked.len()).max("ASKED".len()), "OVER".len());
    let time = width(|row| row.time().len()).max("TIME".len());
    let mut text = format!("      {:asked$}  {:over$}  {:time$}  ANSWER\n", "ASKED", "OVER", "TIME");
    for row in rows {
        let (mark, answer) = match &row.result {
            Ok(answer) => (painted("ok  ", GREEN, paint), answer.clone()),
            Err(problem) => (painted("FAIL", RED, paint), problem.to_string()),
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "{mark}  {:asked$}  {:over$}  {:time$}  {answer}", row.asked, row.over, row.time());
        if let Err(problem) = &row.result {
            let _ = writeln!(text, "      -> {}", problem.remedy());
        }
    }
    let failed = rows.iter().filter(|row| !row.is_ok()).count();
    let sum = match failed {
        0 => painted(&format!("all {} passed", rows.len()), GREEN, paint),
        _ => painted(&format!("{failed} of {} failed", rows.len()), RED, paint),
    };
    let _ = writeln!(text, "\n{sum}");
    text
}

fn painted(text: &str, colour: &str, paint: Paint) -> String {
    match paint {
        Paint::Colours => format!("{colour}{text}{RESET}"),
        Paint::Plain => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(asked: &str, over: &'static str, result: Result<&str, Problem>, waited: u64) -> Row {
        let (took, waited) = (Duration::from_micros(1234), Duration::from_secs(waited));
        Row { asked: asked.to_owned(), over, result: result.map(str::to_owned), took, waited }
    }

    #[test]
    fn the_table_has_a_line_for_each_trial_and_a_remedy_for_each_failure() {
        let problem = Problem::Status { status: 503, body: "not ready: catalog: not started, 3 s".to_owned() };
        let rows = [
            row("web.shop.svc at 10.96.0.10:53", "udp", Ok("web.shop.svc.cluster.local. A 10.1.0.4"), 0),
            row("http://dns:9153/readyz", "http", Err(problem), 28),
        ];
        let expected = "      ASKED                          OVER  TIME               ANSWER\n\
                        ok    web.shop.svc at 10.96.0.10:53  udp   1.2 ms             web.shop.svc.cluster.local. A 10.1.0.4\n\
                        FAIL  http://dns:9153/readyz         http  1.2 ms after 28 s  503: not ready: catalog: not started, 3 s\n\
                        \x20     -> the page says what it waits for; the log of the pod says more\n\
                        \n1 of 2 failed\n";
        assert_eq!(table(&rows, Paint::Plain), expected);
        assert_eq!(table(&rows[..1], Paint::Plain).lines().last(), Some("all 1 passed"));
    }

    #[test]
    fn colours_are_for_terminals_alone() {
        let rows = [row("a", "udp", Ok("b"), 0)];
        assert!(table(&rows, Paint::Colours).contains("\x1b[32mok  \x1b[0m"));
        assert!(!table(&rows, Paint::Plain).contains('\x1b'));
    }
}
