//! The programs that ship, each in an image of its own.

use std::fmt;

/// A program that ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Component {
    /// Builds the catalog and serves it.
    Controller,
    /// Answers DNS from it.
    Dns,
    /// Registers what runs on a machine.
    Agent,
}

// === impl Component ===

impl Component {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Controller, Self::Dns, Self::Agent];

    /// The name of its package, its binary and its image.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Controller => "rollcall-controller",
            Self::Dns => "rollcall-dns",
            Self::Agent => "rollcall-agent",
        }
    }

    /// What people call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Controller => "Rollcall controller",
            Self::Dns => "Rollcall DNS server",
            Self::Agent => "Rollcall agent",
        }
    }

    /// How many bytes its program may have, and its image as it is downloaded: some more than now, so that growth is a decision.
    pub(crate) fn bytes_max(self) -> usize {
        match self {
            Self::Controller => 18_000_000,
            Self::Dns => 10_500_000,
            Self::Agent => 8_000_000,
        }
    }

    /// What it is for, in a sentence.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Controller => "Builds the service catalog of a Kubernetes cluster, checks it and serves it.",
            Self::Dns => "Answers DNS from Rollcall's service catalog.",
            Self::Agent => "Registers what runs on a machine with Rollcall, checks it, and says that it lives.",
        }
    }

    /// The ports that the chart gives it, or that its examples do.
    pub(crate) fn ports(self) -> &'static [&'static str] {
        match self {
            Self::Controller => &["18000/tcp", "18080/tcp"],
            Self::Dns => &["1053/tcp", "1053/udp", "9153/tcp"],
            Self::Agent => &["9163/tcp"],
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
