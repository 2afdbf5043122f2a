//! One execution of a check: a request, and what came of it in plain words.
//!
//! - [`dial`]: how a connection is made; [`stream`]: plain or encrypted ([`tls`]); [`bounded`]: how much of it is read;
//!   [`asking`]: when
//! - [`tcp`], [`http`], [`http2`], [`udp`]: what is asked, by kind of check; [`surroundings`]: what of it is known elsewhere
//! - [`fault`]: which errors are ours and say nothing about the target; [`words`]: what a target sent, in a reason

mod asking;
mod bounded;
pub mod dial;
mod driven;
mod fault;
mod http;
mod http2;
mod progress;
mod stream;
pub mod surroundings;
mod tcp;
mod tls;
mod udp;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::model::Name;
use tokio::time::Instant;

pub use self::dial::{Close, Dial, Network};
use self::fault::Failed;
use self::progress::Progress;
use self::stream::Opener;
pub use self::surroundings::{Alone, Answer, ClientCertificate, Credentials, Surroundings};
use crate::definition::{Check, CheckKind, TIMEOUT_MAX};
use crate::outcome::{LocalFault, Outcome};

/// Executes checks.
pub trait Prober: Send + Sync + 'static {
    /// Probes `target` once. Takes no longer than the check's timeout, and leaves nothing behind when it is dropped.
    fn probe(&self, check: &Check, target: SocketAddr) -> impl Future<Output = Outcome> + Send;
}

/// Executes checks over connections of a dialer.
pub struct Probes<D> {
    dialer: D,
    configs: tls::Configs,
    surroundings: Arc<dyn Surroundings>,
}

/// What a probe that did not fail saw, in words that follow what was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    /// The target is as it should be.
    Well(String),
    /// It serves, and needs care.
    Warning(String),
}

/// A timer that fires later than asked by this and by half of what was asked shows that we did not get to run.
const STALL: Duration = Duration::from_millis(100);

// === impl Probes ===

impl<D: Dial> Probes<D> {
    /// Probes over connections of `dialer`, by a process that has no Secrets and knows no other service.
    pub fn new(dialer: D) -> Self {
        Self { dialer, configs: tls::Configs::default(), surroundings: Arc::new(Alone) }
    }

    /// The same, by a process that has them.
    #[must_use]
    pub fn with(self, surroundings: Arc<dyn Surroundings>) -> Self {
        Self { surroundings, ..self }
    }

    async fn attempt(
        &self,
        kind: &CheckKind,
        target: SocketAddr,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Seen, Failed> {
        let surroundings = &*self.surroundings;
        let opener = &Opener { dialer: &self.dialer, configs: &self.configs, surroundings, target };
        match kind {
            CheckKind::Http(http) => http::ask(opener, http, deadline, progress).await,
            CheckKind::Tcp(tcp) => tcp::connect(opener, tcp, progress).await,
            CheckKind::Tls(handshake) => tcp::handshake(opener, handshake).await,
            CheckKind::Grpc(grpc) => http2::health(opener, grpc).await,
            CheckKind::Http2(http2) => http2::ping(opener, http2).await,
            CheckKind::Udp(udp) => udp::ask(opener, udp).await,
            CheckKind::Alias(alias) => match surroundings.alias(alias) {
                Outcome::Success(saw) => Ok(Seen::Well(saw.to_string())),
                Outcome::Warning(saw) => Ok(Seen::Warning(saw.to_string())),
                Outcome::Failure(saw) => Err(Failed::Target(saw.to_string())),
                Outcome::LocalFault(fault, saw) => Err(Failed::Local(fault, Some(saw))),
            },
        }
    }
}

impl<D: fmt::Debug> fmt::Debug for Probes<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes").field("dialer", &self.dialer).finish_non_exhaustive()
    }
}

impl<D: Dial> Prober for Probes<D> {
    async fn probe(&self, check: &Check, target: SocketAddr) -> Outcome {
        let timeout = check.timeout.min(TIMEOUT_MAX);
        let began = Instant::now();
        let deadline = began + timeout;
        let progress = Progress::default();
        let attempt = self.attempt(&check.kind, target, deadline, &progress);
        let attempted = tokio::time::timeout_at(deadline, attempt).await;
        let what = describe(check, target);
        let failed = match attempted {
            Ok(Ok(Seen::Well(saw))) => return Outcome::Success(reason(&what, &saw)),
            Ok(Ok(Seen::Warning(saw))) => return Outcome::Warning(reason(&what, &saw)),
            Ok(Err(failed)) => failed,
            Err(_) => Failed::Target(match progress.take() {
                Some(saw) => format!("{saw}, and no more within {}", seconds(timeout)),
                None => format!("got no answer within {}", seconds(timeout)),
            }),
        };
        if began.elapsed() > timeout + STALL.max(timeout / 2) {
            return local(&what, LocalFault::Stalled, None);
        }
        match failed {
            Failed::Target(saw) => Outcome::Failure(reason(&what, &saw)),
            Failed::Local(fault, words) => local(&what, fault, words.as_deref()),
        }
    }
}

fn local(what: &str, fault: LocalFault, words: Option<&str>) -> Outcome {
    let why = words.map_or_else(|| fault.to_string(), str::to_owned);
    Outcome::LocalFault(fault, reason(what, &format!("could not be tried: {why}")))
}

/// Both in a sentence that fits into a status (1,024 bytes) and an Event (1 kB): a long path is cut, not what was seen.
fn reason(what: &str, saw: &str) -> Name {
    const WHAT_MAX: usize = 512;
    const SAW_MAX: usize = 384;
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
    let name = &check.name;
    match &check.kind {
        CheckKind::Tcp(_) => format!("check {name}: connection to {target}"),
        CheckKind::Http(http) => {
            let scheme = if http.tls.is_some() { "https" } else { "http" };
            format!("check {name}: {} {scheme}://{target}{}", http.method, http.path)
        }
        CheckKind::Tls(_) => format!("check {name}: TLS with {target}"),
        CheckKind::Grpc(_) => format!("check {name}: gRPC health at {target}"),
        CheckKind::Http2(_) => format!("check {name}: HTTP/2 with {target}"),
        CheckKind::Udp(_) => format!("check {name}: datagram to {target}"),
        CheckKind::Alias(alias) => match &alias.endpoint {
            Some(endpoint) => format!("check {name}: endpoint {endpoint} of service {}", alias.service.name),
            None => format!("check {name}: service {}", alias.service.name),
        },
    }
}

/// Whether bytes contain others; nothing is contained in everything.
fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests;
