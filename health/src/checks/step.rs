//! What the checks ask of their driver, and tell it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::{Origin, Verdict};
use rollcall_catalog::model::{Health, Name};

#[cfg(doc)]
use super::Checks;
use crate::definition::Target;

/// A target that is probed again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub(super) u64);

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Probe this, and hand in what came of it with [`Checks::finished`].
    Start(Start),
    /// A verdict changed.
    Change(Change),
    /// Ask somebody who is no replica, and hand in what came of it with [`Checks::relayed`].
    Relay(Relay),
}

/// Somebody who is to be asked.
#[derive(Clone, Debug)]
pub struct Relay {
    /// What [`Checks::relayed`] is told.
    pub id: TargetId,
    /// By this name.
    pub who: Name,
    /// Whether he reaches this.
    pub target: Target,
    /// The registration that it is of.
    pub origin: Arc<Origin>,
}

/// A probe that is to be started.
#[derive(Clone, Debug)]
pub struct Start {
    /// What [`Checks::finished`] is told.
    pub id: TargetId,
    /// What to probe.
    pub target: Target,
    /// The registration that it is of.
    pub origin: Arc<Origin>,
    /// How long it waited for its turn.
    pub late: Duration,
}

/// A verdict that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The registration.
    pub origin: Arc<Origin>,
    /// Its endpoint.
    pub endpoint: Name,
    /// The verdict; `None` when nothing judges the endpoint any more.
    pub verdict: Option<Verdict>,
    /// The health before.
    pub before: Health,
    /// This replica decided it; otherwise one of its peers did.
    pub own: bool,
}

/// How an endpoint came to fail, in milliseconds of the monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// The service that it is in.
    pub service: ServiceKey,
    /// When it was last seen alive.
    pub alive_ms: u64,
    /// When the first of the failures in a row came.
    pub failed_ms: u64,
    /// How long it may take at the longest until it is decided, where that is not what the registration's checks come to.
    pub longest: Option<Duration>,
}

/// What a new plan changed.
#[derive(Debug)]
pub struct Replaced {
    /// The verdict on each endpoint of the registration, to be told together with its contribution.
    pub verdicts: Vec<(Name, Option<Verdict>)>,
    /// Probes that are under way and to be broken off.
    pub ended: Vec<TargetId>,
}

/// Whether an address may be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The catalog has it.
    Admitted,
    /// The catalog keeps it out: it is not dialled either.
    Withheld,
    /// The catalog does not have it yet.
    Awaited,
}

/// What is to be admitted.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The registration.
    pub origin: &'a Arc<Origin>,
    /// The service that it joins.
    pub service: &'a ServiceKey,
    /// The registration's generation.
    pub generation: Option<i64>,
    /// The endpoint.
    pub endpoint: &'a Name,
    /// The address to dial.
    pub ip: IpAddr,
}
