//! Structured logs on standard error.

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing::Metadata;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

use crate::filter::Filter;
use crate::log_level::LogLevel;
use crate::traces::Traces;

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
    /// `RUST_LOG` cannot be read.
    #[error(
        "log filter {0:?} cannot be read: {1}; set RUST_LOG to a level (error, warn, info, debug, trace) or TARGET=LEVEL,…"
    )]
    Filter(String, String),
    /// The process has a subscriber already.
    #[error("logs were set up twice: {0}")]
    Twice(String),
}

/// Sends log lines to standard error, and spans to `traces`. `RUST_LOG` goes before `filter`. Must be called within a
/// runtime if there are traces.
///
/// Spans are for traces alone: without these they are never made. Those at `info` are always sent; the filter decides
/// about finer ones.
pub fn init(format: Format, filter: &Filter, traces: Option<&Traces>) -> Result<LogLevel, LogsError> {
    let set = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|set| !set.is_empty());
    let base = set.unwrap_or_else(|| filter.to_string());
    let compile = |text: &str| Filter::compile(text).map_err(|error| LogsError::Filter(text.to_owned(), error));
    let (to_lines, lines) = reload::Layer::new(compile(&base)?);
    let (to_spans, spans) = reload::Layer::new(compile(&base)?);
    let events = filter_fn(|metadata: &Metadata<'_>| metadata.is_event()).with_max_level_hint(LevelFilter::TRACE);
    let ours = filter_fn(|metadata: &Metadata<'_>| metadata.is_span() && metadata.target().starts_with("rollcall"))
        .with_max_level_hint(LevelFilter::TRACE);
    let spans_of = |traces: &Traces| traces.layer().with_filter(LevelFilter::INFO.or(to_spans).and(ours));
    let traced = tracing_subscriber::registry().with(traces.map(spans_of));
    let logs = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let done = match format {
        Format::Text => traced.with(logs.with_ansi(colour()).with_filter(to_lines.and(events))).try_init(),
        Format::Json => traced.with(logs.json().flatten_event(true).with_filter(to_lines.and(events))).try_init(),
    };
    done.map_err(|error| LogsError::Twice(error.to_string()))?;
    // Without traces their filter went unused, and cannot be changed.
    let spans = traces.map(|_| spans);
    Ok(LogLevel::new(base, move |text| {
        let (for_lines, for_spans) = (Filter::compile(text)?, Filter::compile(text)?);
        let reload_spans = || spans.as_ref().map_or(Ok(()), |spans| spans.reload(for_spans));
        lines.reload(for_lines).and_then(|()| reload_spans()).map_err(|error| error.to_string())
    }))
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
