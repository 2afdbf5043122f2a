//! Connections that failed, by reason.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a connection carried no stream. Without TLS it is `Accept`, `Crowded` or `Timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The operating system gave an error instead of a connection, such as too many open files.
    Accept,
    /// The client closed the connection: a port scan, a TCP probe, or a client that gave up.
    Closed,
    /// It came when there were [`Bounds::connections_max`](super::Bounds::connections_max) already; or it gave way to others
    /// after [`Limits::patience`](super::Limits::patience), when there were too many handshakes at a time.
    Crowded,
    /// The client sent HTTP/2 frames that carry nothing (PING, SETTINGS), headers, or calls that it gave up at once, without
    /// end. It may have had streams.
    Flooded,
    /// No protocol, version or cipher in common.
    Incompatible,
    /// What the client sent is no HTTP/2 that can be followed. It may have had streams.
    Malformed,
    /// There is no certificate yet.
    NoCertificate,
    /// Anything else.
    Other,
    /// The client spoke without TLS.
    Plaintext,
    /// The client refused the certificate: its bundle does not hold our authority, or the names do not match.
    Rejected,
    /// No handshake within [`Limits::timeout`](super::Limits::timeout), or no HTTP/2 within
    /// [`Bounds::preface_timeout`](super::Bounds::preface_timeout).
    Timeout,
}

/// Connections that failed before they could carry a stream, as counters to export.
#[derive(Debug, Default)]
pub struct Metrics {
    failures: [AtomicU64; Failure::ALL.len()],
}

// === impl Failure ===

impl Failure {
    /// In the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::Accept,
        Self::Closed,
        Self::Crowded,
        Self::Flooded,
        Self::Incompatible,
        Self::Malformed,
        Self::NoCertificate,
        Self::Other,
        Self::Plaintext,
        Self::Rejected,
        Self::Timeout,
    ];

    /// As in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Closed => "closed",
            Self::Crowded => "crowded",
            Self::Flooded => "flooded",
            Self::Incompatible => "incompatible",
            Self::Malformed => "malformed",
            Self::NoCertificate => "no_certificate",
            Self::Other => "other",
            Self::Plaintext => "plaintext",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
        }
    }
}

// === impl Metrics ===

impl Metrics {
    /// How many failed for that reason.
    pub fn failures(&self, reason: Failure) -> u64 {
        self.failures[reason as usize].load(Relaxed)
    }

    pub(super) fn failed(&self, reason: Failure) {
        self.failures[reason as usize].fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_counter_of_its_own() {
        let metrics = Metrics::default();
        for (place, reason) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
            metrics.failed(reason);
            assert_eq!(metrics.failures(reason), 1, "{reason:?}");
        }
    }
}
