//! How a process ends: not ready first, still serving for the lame-duck delay, then the token.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::readiness::Readiness;

/// The gate that is closed while the process ends.
pub const GATE: &str = "shutdown";

/// Listens for SIGTERM and SIGINT. On the first one readiness closes and, after `lame_duck`, the token is cancelled; a
/// second one cuts the delay short.
///
/// During the delay the process serves as before: callers learn in that time that it leaves. The process' own work, such
/// as answering, ends with the token.
pub fn on_signal(readiness: Readiness, lame_duck: Duration) -> io::Result<CancellationToken> {
    let mut signals =
        Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!(signal = name, lame_duck_seconds = lame_duck.as_secs_f64(), "shutting down");
        let hurry = async {
            signals.next().await;
        };
        drain(&readiness, lame_duck, hurry).await;
        cancelled.cancel();
    });
    Ok(token)
}

/// Closes readiness and waits for `lame_duck`, or until `hurry` completes.
pub async fn drain(readiness: &Readiness, lame_duck: Duration, hurry: impl Future<Output = ()>) {
    readiness.gate(GATE).close("shutting down");
    tokio::select! {
        () = tokio::time::sleep(lame_duck) => {}
        () = hurry => tracing::info!("second signal: ending at once"),
    }
}

#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

// === impl Signals ===

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests;
