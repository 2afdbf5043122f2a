//! What is to be checked: the checks of a registration, free of API types.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::check::Thresholds;
use rollcall_catalog::input::{Origin, Verdict};
use rollcall_catalog::model::{Name, Port};

/// One check of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name in the registration.
    pub name: Name,
    /// What it does.
    pub kind: Kind,
    /// The port that it calls, by the name in the registration.
    pub port: Name,
    /// From one probe to the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How many results decide.
    pub thresholds: Thresholds,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A GET of this path; a status from 200 to 399 passes.
    Http {
        /// Path and query.
        path: Name,
        /// Host header; the socket address when absent.
        host: Option<Name>,
    },
    /// A connection that is accepted passes.
    Tcp,
}

/// Everything that is to be checked of one registration. It replaces the plan before it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The registration.
    pub origin: Arc<Origin>,
    /// What to probe.
    pub probes: Vec<Probe>,
    /// Verdicts of an earlier process, by endpoint, for those that this process sees for the first time.
    pub restored: Vec<(Name, Verdict)>,
}

/// One check of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The endpoint that the result counts for.
    pub endpoint: Name,
    /// What to do.
    pub check: Arc<Check>,
    /// Where.
    pub target: SocketAddr,
}

// === impl Probe ===

impl Probe {
    /// The identity that fixes the phase of this probe over restarts and replicas.
    pub fn id(&self, origin: &Origin) -> String {
        format!("{}/{}/{}/{}/{}", origin.namespace, origin.name, self.endpoint, self.check.name, self.target)
    }
}

// === impl Check ===

impl Check {
    /// The number of the port that it calls, among those of an endpoint.
    pub fn port_of(&self, ports: &[Port]) -> Option<u16> {
        ports.iter().find(|port| port.name == self.port).map(|port| port.number)
    }
}
