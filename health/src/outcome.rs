//! What one probe found, or that it found nothing because of us.

use std::fmt;

use rollcall_catalog::model::Name;

/// What came of one probe, with what was seen in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target is as it should be.
    Success(Name),
    /// The target serves, and something about it needs care: it refuses for a while, or its certificate ends soon.
    Warning(Name),
    /// The target is not as it should be, or gave no answer in time.
    Failure(Name),
    /// The probe failed for a reason of our own: nothing is known about the target.
    LocalFault(LocalFault, Name),
}

/// What we lack when a probe tells nothing about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LocalFault {
    /// No file descriptor is free (EMFILE, ENFILE).
    Descriptors,
    /// No local port or address is free (EADDRNOTAVAIL, EADDRINUSE).
    Ports,
    /// The kernel has no memory or buffers (ENOMEM, ENOBUFS).
    Memory,
    /// A policy of our own refuses the connection (EACCES, EPERM).
    Denied,
    /// We have no route or no such address family (ENETUNREACH, ENETDOWN, EAFNOSUPPORT).
    NoRoute,
    /// A timer fired much later than asked: it was us who did not run.
    Stalled,
    /// A Secret that the check names, or what else it needs of ours, cannot be had.
    Credentials,
}

// === impl Outcome ===

impl Outcome {
    /// What was seen.
    pub fn saw(&self) -> &Name {
        match self {
            Self::Success(saw) | Self::Warning(saw) | Self::Failure(saw) | Self::LocalFault(_, saw) => saw,
        }
    }
}

// === impl LocalFault ===

impl LocalFault {
    /// Each of them, in the order of the type.
    pub const ALL: [Self; 7] =
        [Self::Descriptors, Self::Ports, Self::Memory, Self::Denied, Self::NoRoute, Self::Stalled, Self::Credentials];

    /// The word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Ports => "ports",
            Self::Memory => "memory",
            Self::Denied => "denied",
            Self::NoRoute => "no_route",
            Self::Stalled => "stalled",
            Self::Credentials => "credentials",
        }
    }
}

impl fmt::Display for LocalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "this replica has no file descriptor free; raise its limit of open files",
            Self::Ports => "this replica has no local port free; widen net.ipv4.ip_local_port_range",
            Self::Memory => "this replica's kernel has no memory for a connection; look at the node",
            Self::Denied => "a policy on this replica's side forbids the connection; allow the controller's egress",
            Self::NoRoute => "this replica has no route there; add one to its node, or correct the address",
            Self::Stalled => "this replica did not get to run; give it more CPU",
            Self::Credentials => "this replica lacks a Secret that the check names; see its reason",
        })
    }
}
