//! What the user sees: a line for each step with its time, colours on a terminal, tables.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rollcall_e2e::clock;

/// An emphasis that a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// Look at this.
    Warn,
    /// Less important.
    Faint,
    /// A heading.
    Bold,
}

/// A step that has begun: a name on a line that waits for its outcome.
#[must_use]
pub(crate) struct Step {
    start: Instant,
}

/// The line of a step that has begun.
struct Line {
    what: String,
    /// Something else was said since, so the name is gone from where the outcome goes.
    is_broken: bool,
}

/// At most one step has a line at a time.
static LINE: Mutex<Option<Line>> = Mutex::new(None);

/// Whether colours are wanted (<https://no-color.org>).
pub(crate) fn is_coloured() -> bool {
    std::env::var_os("CLICOLOR_FORCE").is_some()
        || (std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
}

/// The text with an emphasis, or as it is where colours are not wanted.
pub(crate) fn paint(text: &str, paint: Paint) -> String {
    if !is_coloured() {
        return text.to_owned();
    }
    let code = match paint {
        Paint::Good => 32,
        Paint::Bad => 31,
        Paint::Warn => 33,
        Paint::Faint => 2,
        Paint::Bold => 1,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Starts the line of a step.
pub(crate) fn begin(what: &str) -> Step {
    let mut line = line();
    print!("{what} … ");
    flush();
    *line = Some(Line { what: what.to_owned(), is_broken: false });
    Step { start: clock::now() }
}

/// Says something while a step may have its line, from whatever thread.
pub(crate) fn interject(text: &str) {
    let mut line = line();
    let text = paint(&format!("  {text}"), Paint::Faint);
    match line.as_mut() {
        None => println!("{text}"),
        Some(line) if can_rewrite() => print!("\r{CLEAR}{text}\n{} … ", line.what),
        Some(line) => {
            println!("{}{text}", if line.is_broken { "" } else { "\n" });
            line.is_broken = true;
        }
    }
    flush();
}

/// A line that is not a step.
pub(crate) fn note(text: &str) {
    println!("{}", paint(text, Paint::Warn));
}

/// Clears the terminal's line.
const CLEAR: &str = "\u{1b}[2K";

fn can_rewrite() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn line() -> MutexGuard<'static, Option<Line>> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last line of a failed task.
pub(crate) fn failure(error: &anyhow::Error) {
    // `{:?}` would add a backtrace of this tool, which helps nobody.
    let mut causes = error.chain().map(ToString::to_string);
    eprintln!("{} {}", paint("failed:", Paint::Bad), causes.next().unwrap_or_default());
    for cause in causes {
        eprintln!("  because: {cause}");
    }
}

/// Rows under headings, each column as wide as its widest cell.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    let mut text = paint(line(&headings).trim_end_matches('\n'), Paint::Bold) + "\n";
    rows.iter().for_each(|row| text.push_str(&line(row)));
    text
}

// === impl Step ===

impl Step {
    /// Ends the line: it went well.
    pub(crate) fn done(self) {
        self.end("ok", Paint::Good);
    }

    /// Ends the line: it did not go well.
    pub(crate) fn failed(self) {
        self.end("FAILED", Paint::Bad);
    }

    /// On a terminal, how far it has come; nothing elsewhere.
    pub(crate) fn progress(&self, text: &str) {
        let line = line();
        if let Some(line) = line.as_ref().filter(|_| can_rewrite()) {
            print!("\r{CLEAR}{} … {}", line.what, paint(text, Paint::Faint));
            flush();
        }
    }

    /// Ends the line by the outcome.
    pub(crate) fn outcome<T, E>(self, result: Result<T, E>) -> Result<T, E> {
        match result {
            Ok(_) => self.done(),
            Err(_) => self.failed(),
        }
        result
    }

    fn end(self, outcome: &str, colour: Paint) {
        let seconds = format!("({:.1} s)", self.start.elapsed().as_secs_f32());
        let line = line().take();
        match &line {
            Some(line) if can_rewrite() => print!("\r{CLEAR}{} … ", line.what),
            Some(line) if line.is_broken => print!("{} … ", line.what),
            _ => {}
        }
        println!("{} {}", paint(outcome, colour), paint(&seconds, Paint::Faint));
        flush();
    }
}

fn flush() {
    // Nobody to tell when the terminal is gone.
    let _ = std::io::stdout().flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "long one".to_owned()], vec!["bcd".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["N", "value"], &rows), "  N    value\n  a    long one\n  bcd  x\n");
    }
}
