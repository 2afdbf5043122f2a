//! What is wrong with a file: where, and what to write instead.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The key, such as `service.ports`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, and the remedy.
    pub words: String,
}

// === impl Problem ===

impl Problem {
    /// One with a file as a whole.
    pub fn of_file(file: impl Into<PathBuf>, words: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, key: String::new(), words: words.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.words)
    }
}
