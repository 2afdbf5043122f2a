//! Structured logs on standard error.

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people; in colour on a terminal, unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// Not a format.
    #[error("unknown log format {0:?}; use text or json")]
    Format(String),
    /// `RUST_LOG`, or the filter built in, cannot be read.
    #[error(
        "log filter {0:?} cannot be read: {1}; set RUST_LOG to a level (error, warn, info, debug, trace) or TARGET=LEVEL,…"
    )]
    Filter(String, tracing_subscriber::filter::ParseError),
    /// The process has a subscriber already.
    #[error("logs were set up twice: {0}")]
    Twice(String),
}

/// Sends log lines to standard error. `RUST_LOG` goes before `default_filter`.
pub fn init(format: Format, default_filter: &str) -> Result<(), LogsError> {
    let filter = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|set| !set.is_empty());
    let filter = filter.unwrap_or_else(|| default_filter.to_owned());
    let filter = EnvFilter::try_new(&filter).map_err(|error| LogsError::Filter(filter, error))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let done = match format {
        Format::Text => logs.with_ansi(colour()).try_init(),
        Format::Json => logs.json().flatten_event(true).try_init(),
    };
    done.map_err(|error| LogsError::Twice(error.to_string()))
}

/// <https://no-color.org>: any value but the empty one.
fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

// === impl Format ===

impl FromStr for Format {
    type Err = LogsError;

    fn from_str(name: &str) -> Result<Self, LogsError> {
        match name {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LogsError::Format(other.to_owned())),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_read_as_it_is_written_and_others_are_refused_with_the_choice() {
        for format in [Format::Text, Format::Json] {
            assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
        }
        assert_eq!("xml".parse::<Format>().unwrap_err().to_string(), r#"unknown log format "xml"; use text or json"#);
    }
}
