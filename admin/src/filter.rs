//! What is logged: a level, or levels by target.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::filter::Targets;

/// A log filter whose parts have been looked at one by one: `info`, or `info,rollcall_controller::writeback=debug`.
///
/// Elsewhere a misspelt level is the name of a target, and silences everything else; here it is refused. There are no filters
/// by span or field: they would bring a regular expression engine into each program, and nobody asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

/// What is wrong with a filter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Nothing is given.
    #[error(
        "the filter is empty; give a level (off, error, warn, info, debug, trace) or TARGET=LEVEL, such as \
         info,rollcall_controller::writeback=debug"
    )]
    Empty,
    /// More than [`FILTER_BYTES_MAX`].
    #[error("the filter is longer than {FILTER_BYTES_MAX} bytes; name fewer targets")]
    TooLong,
    /// One part is neither.
    #[error(
        "{0:?} is neither a level (off, error, warn, info, debug, trace) nor TARGET=LEVEL, such as \
         rollcall_controller::writeback=debug"
    )]
    Part(String),
}

/// Longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 1024;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

// === impl Filter ===

impl Filter {
    /// As it was given, without spaces around its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn compile(text: &str) -> Result<Targets, String> {
        text.parse::<Targets>().map_err(|error| error.to_string())
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let parts: Vec<_> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        let known = |part: &&str| {
            !is_level(part) && !part.split_once('=').is_some_and(|(to, level)| is_target(to) && is_level(level))
        };
        match parts.iter().copied().find(known) {
            _ if parts.is_empty() => Err(FilterError::Empty),
            _ if text.len() > FILTER_BYTES_MAX => Err(FilterError::TooLong),
            Some(part) => Err(FilterError::Part(part.to_owned())),
            None => Ok(Self(parts.join(","))),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_level(text: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text))
}

/// A Rust path, or the beginning of one.
fn is_target(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_are_read_and_compile() {
        for (text, read) in [
            ("debug", "debug"),
            (" INFO , rollcall_controller::writeback=debug,", "INFO,rollcall_controller::writeback=debug"),
            ("off,rollcall_dns=trace", "off,rollcall_dns=trace"),
        ] {
            assert_eq!(text.parse::<Filter>().unwrap().as_str(), read);
            Filter::compile(read).unwrap();
        }
    }

    #[test]
    fn a_misspelt_level_is_named_instead_of_taken_for_a_target() {
        for (text, named) in [
            ("debg", r#""debg" is neither a level"#),
            ("info,rollcall_dns=loud", r#""rollcall_dns=loud" is neither"#),
            ("info,=debug", r#""=debug" is neither"#),
            (" , ", "the filter is empty"),
            (&"a=info,".repeat(200), "longer than 1024 bytes"),
        ] {
            let error = text.parse::<Filter>().unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
