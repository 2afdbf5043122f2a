//! Foreign text in a log: cut, and without what could pass for something else.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Text that somebody else wrote, for a log line: its first 256 bytes, on one line.
pub fn foreign(text: &str) -> impl fmt::Display + fmt::Debug + '_ {
    Foreign(text)
}

struct Foreign<'a>(&'a str);

/// Of a foreign text, in bytes.
const FOREIGN_BYTES_MAX: usize = 256;

// === impl Foreign ===

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = (0..=FOREIGN_BYTES_MAX.min(self.0.len())).rev().find(|end| self.0.is_char_boundary(*end));
        let shown = &self.0[..end.unwrap_or(0)];
        shown.chars().try_for_each(|each| put(f, each))?;
        if shown.len() < self.0.len() { write!(f, "… ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

impl fmt::Debug for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A line as it was formatted, with the one newline at its end, and none of the characters by which a text could end the
/// line, move the cursor or turn the direction of reading. As JSON it stays valid. `colours`: the formatter's own escape
/// sequences stay; it has escaped those of texts.
pub(super) fn line(formatted: &str, colours: bool) -> Cow<'_, str> {
    let text = formatted.strip_suffix('\n').unwrap_or(formatted);
    let bad = |each: char| is_bad(each) && !(colours && each == '\u{1b}');
    if text.len() + 1 == formatted.len() && !text.chars().any(bad) {
        return Cow::Borrowed(formatted);
    }
    let mut safe = String::with_capacity(formatted.len() + 16);
    for each in text.chars() {
        if bad(each) {
            // Writing to a String does not fail.
            let _ = put(&mut safe, each);
        } else {
            safe.push(each);
        }
    }
    safe.push('\n');
    Cow::Owned(safe)
}

fn put(to: &mut impl Write, each: char) -> fmt::Result {
    match each {
        '\n' => to.write_str("\\n"),
        '\r' => to.write_str("\\r"),
        '\t' => to.write_str("\\t"),
        bad if is_bad(bad) => write!(to, "\\u{:04x}", u32::from(bad)),
        good => to.write_char(good),
    }
}

/// Controls of both sets, separators of lines, and marks of direction (Trojan Source, CVE-2021-42574).
fn is_bad(each: char) -> bool {
    each.is_control()
        || matches!(each, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_line() {
        let forged = "WARN said=\"no\n2026-11-28T00:00:00Z ERROR all is lost\u{2028}\r\u{9b}2J\u{202e}\"\n";
        let safe = line(forged, false);
        assert_eq!(safe, "WARN said=\"no\\n2026-11-28T00:00:00Z ERROR all is lost\\u2028\\r\\u009b2J\\u202e\"\n");
        assert_eq!(line("\u{1b}[2mdim\u{1b}[0m\n", true), "\u{1b}[2mdim\u{1b}[0m\n");
        assert_eq!(line("\u{1b}[2mdim\n", false), "\\u001b[2mdim\n");
        assert!(matches!(line("täglich\n", false), Cow::Borrowed("täglich\n")));
        assert_eq!(line("no end", false), "no end\n");
    }

    #[test]
    fn escaped_json_stays_json() {
        let safe = line("{\"message\":\"a\u{7f}b\u{2029}\"}\n", false).into_owned();
        let read: serde_json::Value = serde_json::from_str(&safe).expect("JSON");
        assert_eq!(read["message"], "a\u{7f}b\u{2029}");
    }

    #[test]
    fn foreign_text_is_cut_at_a_character_and_says_how_long_it_was() {
        assert_eq!(foreign("plain").to_string(), "plain");
        assert_eq!(foreign("a\nb").to_string(), "a\\nb");
        let long = "ä".repeat(200);
        assert_eq!(foreign(&long).to_string(), format!("{}… (400 bytes)", "ä".repeat(128)));
    }
}
