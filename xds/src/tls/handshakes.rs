//! Handshakes of TLS under way, in bounded number.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use tokio::{
    sync::OwnedSemaphorePermit,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, TlsStream, rustls};

use super::{Certificates, Failure, Io, Metrics, Shown, incoming::Accepted};

#[cfg(test)]
mod tests;

/// How connections become TLS streams.
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Arc<rustls::ServerConfig>,
    certificates: Arc<Certificates>,
    metrics: Arc<Metrics>,
    limits: Limits,
}

/// What handshakes may take. Clients that never finish theirs cost no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Handshakes at a time. Further connections wait in the kernel's queue.
    pub handshakes_max: usize,
    /// How long one may take when there is room.
    pub timeout: Duration,
    /// How long one may take when there is none: after that the oldest gives way.
    pub patience: Duration,
}

/// Handshakes under way.
#[derive(Debug)]
pub(super) struct Handshakes {
    acceptor: Acceptor,
    running: JoinSet<Option<Done>>,
    /// Oldest first. May hold some that are done, each with the memory of its task.
    begun: VecDeque<(Instant, AbortHandle)>,
}

/// A handshake that has succeeded.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) io: Io,
    pub(super) shown: Shown,
    pub(super) place: OwnedSemaphorePermit,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { handshakes_max: 256, timeout: Duration::from_secs(10), patience: Duration::from_secs(1) }
    }
}

// === impl Acceptor ===

impl Acceptor {
    /// Gives each connection the certificate that is current then.
    ///
    /// # Errors
    /// When the TLS library was built without what is needed.
    pub fn new(certificates: Arc<Certificates>, metrics: Arc<Metrics>, limits: Limits) -> Result<Self, rustls::Error> {
        Ok(Self { config: Arc::new(certificates.server_config()?), certificates, metrics, limits })
    }

    async fn accept(self, accepted: Accepted) -> Option<Done> {
        let Accepted { tcp, peer, place } = accepted;
        let tls = TlsAcceptor::from(Arc::clone(&self.config)).accept(tcp);
        let (reason, error) = match timeout(self.limits.timeout, tls).await {
            Ok(Ok(tls)) => {
                let shown = self.certificates.clients().shown(tls.get_ref().1);
                return Some(Done { io: Io::Tls(Box::new(TlsStream::Server(tls))), shown, place });
            }
            Ok(Err(error)) => (self.reason(&error), error.to_string()),
            Err(_) => (Failure::Timeout, format!("not done within {:?}", self.limits.timeout)),
        };
        self.metrics.failed(reason);
        tracing::debug!(%peer, error, reason = reason.as_str(), "TLS handshake failed");
        None
    }

    /// What the connections are given.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    fn reason(&self, error: &io::Error) -> Failure {
        use rustls::Error;
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            None => Failure::Closed,
            Some(_) if self.certificates.current().is_none() => Failure::NoCertificate,
            Some(Error::InvalidMessage(_)) => Failure::Plaintext,
            Some(Error::AlertReceived(_)) => Failure::Rejected,
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => Failure::Incompatible,
            Some(_) => Failure::Other,
        }
    }
}

// === impl Handshakes ===

impl Handshakes {
    pub(super) fn new(acceptor: Acceptor) -> Self {
        Self { acceptor, running: JoinSet::new(), begun: VecDeque::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.running.len() >= self.acceptor.limits.handshakes_max
    }

    pub(super) fn begin(&mut self, accepted: Accepted) {
        let handle = self.running.spawn(self.acceptor.clone().accept(accepted));
        self.begun.push_back((Instant::now(), handle));
        while self.begun.front().is_some_and(|(_, handle)| handle.is_finished()) {
            self.begun.pop_front();
        }
        // Behind one that does not end, those that did are let go now and then: a constant amount of work for each.
        if self.begun.len() > 2 * self.acceptor.limits.handshakes_max {
            self.begun.retain(|(_, handle)| !handle.is_finished());
        }
    }

    /// Waits until one has ended: with a stream, or without. For ever when there is none. Nothing is lost when it is given
    /// up and called again.
    pub(super) async fn next(&mut self) -> Option<Done> {
        let oldest = self.begun.front().map(|(begun, _)| *begun).filter(|_| self.is_full());
        let late = oldest.map(|begun| begun + self.acceptor.limits.patience);
        tokio::select! {
            Some(done) = self.running.join_next() => done.ok().flatten(),
            () = sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => {
                self.give_way();
                None
            }
            else => std::future::pending().await,
        }
    }

    fn give_way(&mut self) {
        let Some((_, oldest)) = self.begun.pop_front() else { return };
        if !oldest.is_finished() {
            oldest.abort();
            self.acceptor.metrics.failed(Failure::Crowded);
        }
    }
}
