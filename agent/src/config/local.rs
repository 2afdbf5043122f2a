//! A check that runs on the machine, as a file says it.

use std::net::SocketAddr;
use std::time::Duration;

use rollcall_health::definition::{Http, TIMEOUT_MAX, Tcp};
use rollcall_health::{Check, CheckKind, Thresholds};

use super::reader::Table;
use super::service::label;

/// A check that runs on the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalCheck {
    /// Its name, how often it is run and how many results decide. Of a script the kind says nothing.
    pub check: Check,
    /// What it does.
    pub how: How,
}

/// What a check on the machine does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Runs a program: exit 0 is passing, 1 warning, all else critical.
    Script(Vec<String>),
    /// Connects there.
    Probe(SocketAddr),
}

/// Whether scripts may be run at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scripts {
    /// Off unless the agent's file says otherwise: who may write a service file could run anything.
    pub allow: bool,
    /// Off unless the agent's file says otherwise: a script of root's may do everything.
    pub allow_root: bool,
    /// Whether this process is root's.
    pub is_root: bool,
}

const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);

// === impl Scripts ===

impl Scripts {
    /// Whether scripts are run.
    ///
    /// # Errors
    /// Why they are not, with the remedy.
    pub fn permit(self) -> Result<(), &'static str> {
        match self {
            Self { allow: false, .. } => {
                Err("scripts are off; set `allow = true` below [scripts] in the agent's file, where only root writes")
            }
            Self { is_root: true, allow_root: false, .. } => Err(
                "scripts are not run as root; run the agent as a user of its own, or set `allow_root = true` below [scripts]",
            ),
            _ => Ok(()),
        }
    }
}

/// Reads one; `None` when it cannot be run.
pub(super) fn read(mut table: Table<'_>, scripts: Scripts) -> Option<LocalCheck> {
    let name = table.parsed("name", label);
    if name.is_none() && table.line_of("name") == table.line() {
        table.missing::<()>("name", "give it a name, such as disk");
    }
    let (interval, timeout) = times(&mut table);
    let retry_interval = table.duration("retry_interval", Duration::from_millis(100), Duration::from_secs(3600));
    let count = |table: &mut Table<'_>, key, default: u8| {
        table.number(key, 1..=10).and_then(|number| u8::try_from(number).ok()).unwrap_or(default)
    };
    let thresholds =
        Thresholds { failures: count(&mut table, "failures", 2), successes: count(&mut table, "successes", 1) };
    let done = kind(&mut table, scripts);
    table.finish();
    let (kind, how) = done?;
    let name = name?;
    let retry_interval = retry_interval.unwrap_or(Duration::from_secs(1)).min(interval);
    let check = Check { interval, timeout, retry_interval, thresholds, ..Check::new(&*name, kind) };
    Some(LocalCheck { check, how })
}

fn times(table: &mut Table<'_>) -> (Duration, Duration) {
    let line = table.line_of("timeout");
    let interval =
        table.duration("interval", Duration::from_millis(100), Duration::from_secs(3600)).unwrap_or(INTERVAL);
    let timeout =
        table.duration("timeout", Duration::from_millis(10), TIMEOUT_MAX).unwrap_or_else(|| TIMEOUT.min(interval));
    if timeout > interval {
        table.wrong::<()>(line, "timeout", "must not exceed interval; shorten it, or lengthen interval");
    }
    (interval, timeout.min(interval))
}

fn kind(table: &mut Table<'_>, scripts: Scripts) -> Option<(CheckKind, How)> {
    let lines = ["script", "http", "tcp"].map(|key| table.line_of(key));
    let (script, http, tcp) = (table.texts("script"), table.parsed("http", url), table.parsed("tcp", address));
    match (script, http, tcp) {
        (Some(command), None, None) => match scripts.permit() {
            Ok(()) => Some((CheckKind::Tcp(Tcp::default()), How::Script(command))),
            Err(words) => table.wrong(lines[0], "script", words),
        },
        (None, Some((address, path)), None) => Some((CheckKind::Http(Http::get(path)), How::Probe(address))),
        (None, None, Some(address)) => Some((CheckKind::Tcp(Tcp::default()), How::Probe(address))),
        (None, None, None) if lines.iter().all(|line| *line == table.line()) => {
            table.missing("script", "give what to do: script = [\"/usr/lib/…\"], http = \"http://127.0.0.1:8080/healthz\", or tcp = \"127.0.0.1:5432\"")
        }
        (None, None, None) => None,
        _ => table.wrong(table.line(), "script", "give only one of script, http and tcp; use a second check for the other"),
    }
}

fn url(text: &str) -> Result<(SocketAddr, String), String> {
    const REMEDY: &str =
        "give http://, an address of this machine with its port, and the path, such as http://127.0.0.1:8080/healthz";
    let rest = text.strip_prefix("http://").ok_or(REMEDY)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address = authority.replace("localhost", "127.0.0.1").parse().map_err(|_| REMEDY)?;
    Ok((address, if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.replace("localhost", "127.0.0.1")
        .parse()
        .map_err(|_| "give an address with its port, such as 127.0.0.1:5432".to_owned())
}
