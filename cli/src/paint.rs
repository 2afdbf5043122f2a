//! Colours, where a person looks.

use std::io::IsTerminal;

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

// === impl Paint ===

impl Paint {
    /// On a terminal, unless NO_COLOR is set and not empty (<https://no-color.org>) or it is a dumb one.
    pub fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(std::io::stdout().is_terminal() && !unwanted && !dumb)
    }

    /// None.
    pub fn none() -> Self {
        Self(false)
    }

    /// A health in its colour, or the word as it is.
    pub fn health(self, word: &str) -> String {
        let code = match word {
            "Passing" => "32",
            "Warning" => "33",
            "Critical" => "31",
            "Maintenance" => "34",
            _ => "2",
        };
        if self.0 { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
    }

    /// A heading.
    pub fn heading(self, text: &str) -> String {
        if self.0 { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// What came from elsewhere, without what a terminal would obey.
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
