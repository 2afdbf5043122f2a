//! File descriptors: how many this process may have, and which part of it may have how many of them.
//!
//! Each connection is one. Where the parts of a process take them without a bound of their own, the one that strangers
//! fill takes those that another needs to work: so each has a share.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::readiness::Gate;

/// How many this process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    limit: usize,
}

/// A part of a process that holds many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Connections of the discovery stream (controller).
    Streams,
    /// Connections of checks (controller).
    Probes,
    /// Connections of the API port (controller).
    Api,
    /// TCP connections of DNS clients.
    DnsClients,
    /// Sockets towards other DNS servers.
    DnsForwards,
}

/// Files, watches, admin pages and what libraries take: nobody's share.
const RESERVE: usize = 128;
/// The least with which a process is of use.
pub const LEAST: usize = 256;
/// What no machine needs more of; an unlimited limit counts as this.
const MOST: usize = 1 << 20;
/// No share is smaller.
const SHARE_MIN: usize = 8;

// === impl Descriptors ===

impl Descriptors {
    /// Raises the soft limit to the hard one. Container runtimes set the soft one to 1,024 for the sake of old programs
    /// that use `select`; no call here does.
    pub fn raise() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = maximum.map_or(MOST as u64, |maximum| maximum.min(MOST as u64));
        if current.is_some_and(|current| current < wanted) {
            // Refused: the old one stays, and is what is read below.
            let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        }
        Self::current()
    }

    /// The limit as it is.
    pub fn current() -> Self {
        let soft = getrlimit(Resource::Nofile).current;
        Self::of(soft.map_or(MOST, |soft| usize::try_from(soft).unwrap_or(MOST)))
    }

    /// A limit of so many.
    pub fn of(limit: usize) -> Self {
        Self { limit: limit.min(MOST) }
    }

    /// How many this process may have open.
    pub fn limit(self) -> usize {
        self.limit
    }

    /// How many of the `wanted` a part may have open; 8 at least.
    pub fn share(self, share: Share, wanted: usize) -> usize {
        let part = self.limit.saturating_sub(RESERVE) * share.percent() / 100;
        wanted.min(part.max(SHARE_MIN))
    }

    /// Opens the gate, with a remark where a part gets less than it wants; closes it where the limit is below [`LEAST`].
    pub fn tell(self, gate: &Gate, wanted: &[(Share, usize)]) {
        let limit = self.limit;
        let remedy = "raise the limit: ulimit -n, LimitNOFILE of the container runtime's unit, or its default ulimits";
        if limit < LEAST {
            let said = format!("this process may have only {limit} files open, and needs {LEAST} at least; {remedy}");
            tracing::error!(limit, "{said}");
            return gate.close_for("TooFewDescriptors", said);
        }
        let less = |(share, wanted): &(Share, usize)| {
            let got = self.share(*share, *wanted);
            (got < *wanted).then(|| format!("{got} instead of {wanted} {}", share.what()))
        };
        let less: Vec<_> = wanted.iter().filter_map(less).collect();
        if less.is_empty() {
            return gate.open();
        }
        let said = format!("with {limit} open files at most there is room for {}; {remedy}", less.join(" and "));
        tracing::warn!(limit, "{said}");
        gate.open_with(said);
    }
}

// === impl Share ===

impl Share {
    /// Of what is left beside the reserve. Those of one program are 90 together.
    fn percent(self) -> usize {
        match self {
            Self::Streams => 50,
            Self::Probes => 25,
            Self::Api => 15,
            Self::DnsClients | Self::DnsForwards => 45,
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Streams => "connections of the stream",
            Self::Probes => "probes at a time",
            Self::Api => "connections of the API port",
            Self::DnsClients => "TCP connections of DNS clients",
            Self::DnsForwards => "questions to other DNS servers at a time",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::Readiness;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let hard = before.maximum.map_or(MOST as u64, |hard| hard.min(MOST as u64));
        let lowered = Rlimit { current: Some(hard.min(512)), maximum: before.maximum };
        setrlimit(Resource::Nofile, lowered).expect("a soft limit may be lowered");
        assert_eq!(Descriptors::current().limit() as u64, hard.min(512));
        assert_eq!(Descriptors::raise().limit() as u64, hard);
    }

    #[test]
    fn no_part_takes_what_the_others_need() {
        let few = Descriptors::of(1024);
        let (streams, probes) = (few.share(Share::Streams, 11_024), few.share(Share::Probes, 1024));
        assert_eq!((streams, probes), (448, 224));
        assert!(streams + probes + RESERVE <= few.limit());
        assert_eq!(Descriptors::of(1 << 16).share(Share::Probes, 1024), 1024);
        assert_eq!(Descriptors::of(0).share(Share::Probes, 1024), SHARE_MIN);
    }

    #[test]
    fn readiness_says_what_is_bounded_and_closes_only_where_nothing_would_work() {
        let readiness = Readiness::default();
        let gate = readiness.gate("descriptors");
        let wanted = [(Share::Streams, 11_024), (Share::Probes, 1024)];
        Descriptors::of(128).tell(&gate, &wanted);
        assert_eq!(readiness.closed()[0].fault, Some("TooFewDescriptors"));
        Descriptors::of(1024).tell(&gate, &wanted);
        assert!(readiness.is_ready());
        let said = readiness.gates()[0].to_string();
        assert!(
            said.contains("448 instead of 11024 connections of the stream and 224 instead of 1024 probes"),
            "{said}"
        );
        Descriptors::of(1 << 19).tell(&gate, &wanted);
        assert_eq!(readiness.gates()[0].remark, None);
    }
}
