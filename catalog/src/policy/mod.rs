//! What a service's owner decided about history: how much may vanish at once, how often an endpoint may fall, how old an
//! answer may be, and who is asked before an endpoint is given up.
//!
//! - [`sections`]: what can be decided
//! - [`book`]: every policy that is there, and which of them is in force for a service

pub mod book;
pub mod sections;

use std::fmt;
use std::sync::Arc;

use crate::digest::Digest;
use crate::model::Name;

pub use self::sections::{Confirmation, Damping, PodChecks, RemovalGuard, Scope, Staleness, Warned, WhenStale};

/// The policy in force for a service, with where each section comes from. Shared by all services that have the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Holds endpoints that vanish together; `None`: what is gone is gone.
    pub removal: Option<RemovalGuard>,
    /// The age from which what sources say counts as stale; `None`: never.
    pub staleness: Option<Staleness>,
    /// Keeps endpoints out that fall again and again; `None`: who answers is callable.
    pub damping: Option<Damping>,
    /// Who else is asked before an endpoint turns Critical.
    pub confirmation: Confirmation,
    /// What endpoints in Warning get.
    pub warning: Warned,
    /// Has the pods of the service checked; `None`: they are as Kubernetes says.
    pub pod_checks: Option<Arc<PodChecks>>,
    /// The DiscoveryPolicy of each section.
    pub from: From,
}

/// The DiscoveryPolicy that a section is from, by name; `None`: the cluster's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct From {
    pub removal: Option<Name>,
    pub staleness: Option<Name>,
    pub damping: Option<Name>,
    pub confirmation: Option<Name>,
    pub warning: Option<Name>,
    pub pod_checks: Option<Name>,
}

/// A section of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Section {
    Staleness,
    Guard,
    Damping,
    Confirmation,
    Warning,
    PodChecks,
}

/// A DiscoveryPolicy by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub struct PolicyKey {
    pub namespace: Name,
    pub name: Name,
}

/// A DiscoveryPolicy as it is now. Sections that it does not name are another policy's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statement {
    /// `metadata.generation`, for its status.
    pub generation: Option<i64>,
    /// When it was created, in seconds since the epoch: of two with one target the older is in force.
    pub created: i64,
    /// The service that it is for; `None`: all of its namespace.
    pub service: Option<Name>,
    /// `Some(None)` turns the guard off.
    pub removal: Option<Option<RemovalGuard>>,
    /// `Some(None)`: nothing is ever stale.
    pub staleness: Option<Option<Staleness>>,
    /// `Some(None)` turns damping off.
    pub damping: Option<Option<Damping>>,
    /// Who else is asked.
    pub confirmation: Option<Confirmation>,
    /// What endpoints in Warning get.
    pub warning: Option<Warned>,
    /// `Some(None)`: pods are as Kubernetes says.
    pub pod_checks: Option<Option<Arc<PodChecks>>>,
    /// Machines that are in maintenance for the registrations of its namespace, each with the reason.
    pub maintenance: Vec<(Name, Name)>,
    /// What in it cannot be used, in plain words.
    pub problems: Arc<[Name]>,
}

// === impl Policy ===

impl Policy {
    /// The DiscoveryPolicy that a section is from; `None` for the cluster's default.
    pub fn source(&self, section: Section) -> Option<&Name> {
        match section {
            Section::Staleness => self.from.staleness.as_ref(),
            Section::Guard => self.from.removal.as_ref(),
            Section::Damping => self.from.damping.as_ref(),
            Section::Confirmation => self.from.confirmation.as_ref(),
            Section::Warning => self.from.warning.as_ref(),
            Section::PodChecks => self.from.pod_checks.as_ref(),
        }
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        if let Some(guard) = &self.removal {
            guard.digest(digest.flag(true));
        }
        if let Some(staleness) = &self.staleness {
            staleness.digest(digest.flag(false));
        }
        if let Some(damping) = &self.damping {
            damping.digest(digest.number(2));
        }
        self.confirmation.digest(digest);
        if self.warning != Warned::default() {
            digest.number(4).number(self.warning.percent.into());
        }
        if let Some(checks) = &self.pod_checks {
            digest.number(3).number(checks.version);
        }
        Section::ALL.into_iter().for_each(|section| _ = digest.maybe(self.source(section).map(|name| &**name)));
    }
}

// === impl Section ===

impl Section {
    /// Each, in the order of the CRD.
    pub const ALL: [Self; 6] =
        [Self::Staleness, Self::Guard, Self::Damping, Self::Confirmation, Self::Warning, Self::PodChecks];

    /// Its field in `spec`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staleness => "staleness",
            Self::Guard => "guard",
            Self::Damping => "damping",
            Self::Confirmation => "confirmation",
            Self::Warning => "warning",
            Self::PodChecks => "podChecks",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl PolicyKey ===

impl PolicyKey {
    /// From its parts.
    pub fn new(namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

// === impl Statement ===

impl Statement {
    /// The sections that it names.
    pub fn sections(&self) -> impl Iterator<Item = Section> {
        Section::ALL.into_iter().filter(|section| match section {
            Section::Staleness => self.staleness.is_some(),
            Section::Guard => self.removal.is_some(),
            Section::Damping => self.damping.is_some(),
            Section::Confirmation => self.confirmation.is_some(),
            Section::Warning => self.warning.is_some(),
            Section::PodChecks => self.pod_checks.is_some(),
        })
    }
}
