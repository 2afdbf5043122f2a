//! One execution of a check: a request, and what came of it in plain words.
//!
//! - [`dial`]: how a connection is made; [`bounded`]: how much of it is read
//! - [`http`]: a GET; a TCP connection needs no more than the dialer
//! - [`fault`]: which errors are ours and say nothing about the target

mod bounded;
pub mod dial;
mod fault;
mod http;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use rollcall_catalog::model::Name;
use tokio::time::Instant;

pub use self::dial::{Close, Dial, Network};
use self::fault::Failed;
use crate::definition::{Check, CheckKind, TIMEOUT_MAX};
use crate::outcome::{LocalFault, Outcome};

/// Executes checks.
pub trait Prober: Send + Sync + 'static {
    /// Probes `target` once. Takes no longer than the check's timeout, and leaves nothing behind when it is dropped.
    fn probe(&self, check: &Check, target: SocketAddr) -> impl Future<Output = Outcome> + Send;
}

/// Executes checks over connections of a dialer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probes<D>(pub D);

/// A timer that fires later than asked by this and by half of what was asked shows that we did not get to run.
const STALL: Duration = Duration::from_millis(100);

// === impl Probes ===

impl<D: Dial> Prober for Probes<D> {
    async fn probe(&self, check: &Check, target: SocketAddr) -> Outcome {
        let timeout = check.timeout.min(TIMEOUT_MAX);
        let began = Instant::now();
        let deadline = began + timeout;
        let attempt = async {
            match &check.kind {
                CheckKind::Tcp => self.tcp(target).await,
                CheckKind::Http { path, host } => http::get(&self.0, target, path, host.as_deref(), deadline).await,
            }
        };
        let what = describe(check, target);
        let failed = match tokio::time::timeout_at(deadline, attempt).await {
            Ok(Ok(saw)) => return Outcome::Success(reason(&what, &saw)),
            Ok(Err(failed)) => failed,
            Err(_) => Failed::Target(format!("got no answer within {}", seconds(timeout))),
        };
        if began.elapsed() > timeout + STALL.max(timeout / 2) {
            return local(&what, LocalFault::Stalled);
        }
        match failed {
            Failed::Target(saw) => Outcome::Failure(reason(&what, &saw)),
            Failed::Local(fault) => local(&what, fault),
        }
    }
}

impl<D: Dial> Probes<D> {
    async fn tcp(&self, target: SocketAddr) -> Result<String, Failed> {
        self.0.dial(target, Close::Gracefully).await.map(|_| "was accepted".to_owned()).map_err(fault::connecting)
    }
}

fn local(what: &str, fault: LocalFault) -> Outcome {
    Outcome::LocalFault(fault, reason(what, &format!("could not be tried: {fault}")))
}

/// Both in a sentence that fits into a status (1,024 bytes) and an Event (1 kB): a long path is cut, not what was seen.
fn reason(what: &str, saw: &str) -> Name {
    const WHAT_MAX: usize = 512;
    const SAW_MAX: usize = 256;
    format!("{} {}", cut(what, WHAT_MAX), cut(saw, SAW_MAX)).into()
}

fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return text.into();
    }
    let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end]).into()
}

fn describe(check: &Check, target: SocketAddr) -> String {
    match &check.kind {
        CheckKind::Tcp => format!("check {}: connection to {target}", check.name),
        CheckKind::Http { path, .. } => format!("check {}: GET http://{target}{path}", check.name),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests;
