//! What a check does, how often, and how many results decide; free of API types.
//!
//! - [`kind`]: what it does, by kind; [`tls`]: how it encrypts, and whom it trusts

pub mod kind;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::model::{Health, Name, Port};

pub use self::kind::{Alias, CheckKind, Exchange, Grpc, Http, Http2, Statuses, Tcp, TlsHandshake, Udp};
pub use self::tls::{SecretKey, Tls, Verify};

/// One check of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name in the registration.
    pub name: Name,
    /// What it does.
    pub kind: CheckKind,
    /// The port that it calls, by the name in the registration.
    pub port: Name,
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// The same while a failure is not decided yet, and until it has passed for the first time.
    pub retry_interval: Duration,
    /// How long an answer may take, at most [`TIMEOUT_MAX`].
    pub timeout: Duration,
    /// How many results decide.
    pub thresholds: Thresholds,
    /// What a new endpoint is taken for until results decide: Unknown, unless its owner wrote something else.
    pub initial: Health,
}

/// How many results in a row decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Failures until Critical, at least 1.
    pub failures: u8,
    /// Successes until Passing, at least 1.
    pub successes: u8,
}

/// One check of one address of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The endpoint that the result counts for.
    pub endpoint: Name,
    /// What to do.
    pub check: Arc<Check>,
    /// Where.
    pub address: SocketAddr,
}

/// A probe holds a socket and its turn for as long as it waits: nobody may wait longer than this.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// The retry interval of who gives none, if the interval is not shorter.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(1);

// === impl Thresholds ===

impl Default for Thresholds {
    fn default() -> Self {
        Self { failures: 2, successes: 1 }
    }
}

// === impl Check ===

impl Check {
    /// A check with the times and thresholds of who gives none, of a port without a name.
    pub fn new(name: impl Into<Name>, kind: CheckKind) -> Self {
        Self {
            name: name.into(),
            kind,
            port: "".into(),
            interval: Duration::from_secs(10),
            retry_interval: RETRY_INTERVAL,
            timeout: Duration::from_secs(1),
            thresholds: Thresholds::default(),
            initial: Health::Unknown,
        }
    }

    /// The number of the port that it calls, among those of an endpoint.
    pub fn port_of(&self, ports: &[Port]) -> Option<u16> {
        ports.iter().find(|port| port.name == self.port).map(|port| port.number)
    }
}
