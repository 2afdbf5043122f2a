//! Structured logs on standard error. What a stranger can do with them is nothing: lines are bounded in rate ([`rate`], and
//! beneath it a net for every place that logs), escaped ([`escape`]), and written without ever blocking who logs.

mod counts;
mod escape;
mod lines;
mod net;
mod rate;

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::str::FromStr;
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock;
use crate::filter::Filter;
use crate::log_level::LogLevel;
use crate::traces::Traces;
use lines::Lines;
use net::Net;

pub use counts::register;
pub use escape::foreign;
pub use rate::LogRate;

/// The log of this process. Clones are the same.
#[derive(Clone)]
pub struct Log {
    lines: Lines,
    /// What is logged.
    pub level: LogLevel,
}

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
    #[error("RUST_LOG={0:?} cannot be used: {1}")]
    Filter(String, String),
    /// No thread, or no standard error.
    #[error("logs cannot be written: {0}; is there room for another thread, and a standard error?")]
    Start(#[from] io::Error),
    /// The process has a subscriber already.
    #[error("logs were set up twice: {0}")]
    Twice(String),
}

/// Sends log lines to standard error, and spans to `traces`. `RUST_LOG` goes before `filter`. Must be called within a
/// runtime if there are traces.
///
/// Spans are for traces alone: without these they are never made. Those at `info` are always sent; the filter decides
/// about finer ones.
pub fn init(format: Format, filter: &Filter, traces: Option<&Traces>) -> Result<Log, LogsError> {
    let set = std::env::var("RUST_LOG").ok().filter(|set| !set.is_empty());
    let base = set.map_or_else(|| Ok(filter.to_string()), |set| checked(&set))?;
    let compile = |text: &str| Filter::compile(text).map_err(|error| LogsError::Filter(text.to_owned(), error));
    let (to_lines, lines) = reload::Layer::new(compile(&base)?);
    let (to_spans, spans) = reload::Layer::new(compile(&base)?);
    let events = filter_fn(|metadata: &Metadata<'_>| metadata.is_event()).with_max_level_hint(LevelFilter::TRACE);
    let ours = filter_fn(|metadata: &Metadata<'_>| metadata.is_span() && metadata.target().starts_with("rollcall"))
        .with_max_level_hint(LevelFilter::TRACE);
    let spans_of = |traces: &Traces| traces.layer().with_filter(LevelFilter::INFO.or(to_spans).and(ours));
    let traced = tracing_subscriber::registry().with(traces.map(spans_of));
    let colours = format == Format::Text && colours();
    let net = Net::default();
    // Not by `io::stderr`, whose lock a blocked write would keep from whoever ends the process with a last word.
    let sink = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let written = Lines::to(sink, colours, net.summary())?;
    let logs = tracing_subscriber::fmt::layer().with_writer(written.clone()).with_ansi(colours);
    let filter = to_lines.and(events).and(net);
    let done = match format {
        Format::Text => traced.with(logs.with_filter(filter)).try_init(),
        Format::Json => traced.with(logs.json().flatten_event(true).with_filter(filter)).try_init(),
    };
    done.map_err(|error| LogsError::Twice(error.to_string()))?;
    // Without traces their filter went unused, and cannot be changed.
    let spans = traces.map(|_| spans);
    let level = LogLevel::new(base, clock::wall, move |text| {
        let (for_lines, for_spans) = (Filter::compile(text)?, Filter::compile(text)?);
        let reload_spans = || spans.as_ref().map_or(Ok(()), |spans| spans.reload(for_spans));
        lines.reload(for_lines).and_then(|()| reload_spans()).map_err(|error| error.to_string())
    });
    let log = Log { lines: written, level };
    log.flush_on_panic();
    Ok(log)
}

/// What `RUST_LOG` says, under the rules of the flag.
fn checked(set: &str) -> Result<String, LogsError> {
    let read = set.parse::<Filter>().map_err(|error| LogsError::Filter(set.to_owned(), error.to_string()))?;
    Ok(read.to_string())
}

/// <https://no-color.org>: any value but the empty one.
fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// The end of a process is not delayed for longer by who reads its log.
const FLUSH: Duration = Duration::from_secs(2);

// === impl Log ===

impl Log {
    /// Waits until what was said is written, for 2 s at most.
    pub fn flush(&self) {
        self.lines.flush(FLUSH);
    }

    /// A panic that ends the process is not told before what led to it.
    fn flush_on_panic(&self) {
        let (log, told) = (self.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            log.flush();
            told(panic);
        }));
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level", &self.level).finish_non_exhaustive()
    }
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
    fn what_the_environment_says_is_held_to_the_rules_of_the_flag() {
        assert_eq!(checked("warn, rollcall_dns=trace").unwrap(), "warn,rollcall_dns=trace");
        let refused = checked("[span{field=1}]=debug").unwrap_err().to_string();
        assert!(refused.starts_with(r#"RUST_LOG="[span{field=1}]=debug" cannot be used: "#), "{refused}");
    }

    #[test]
    fn a_format_is_read_as_it_is_written_and_others_are_refused_with_the_choice() {
        for format in [Format::Text, Format::Json] {
            assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
        }
        assert_eq!("xml".parse::<Format>().unwrap_err().to_string(), r#"unknown log format "xml"; use text or json"#);
    }
}
