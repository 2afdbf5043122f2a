//! The rules of the Lease.
//!
//! As client-go's leader election, with two differences that Rust's crates for it lack: every write carries the
//! resourceVersion that was read, so of two that try at once one fails; and expiry is judged by the local monotonic clock
//! from the moment at which the Lease was last *seen* to change, so that wall clocks may disagree.

use std::time::Duration;

/// How long a lease holds.
pub const LEASE: Duration = Duration::from_secs(10);
/// How often it is renewed.
pub const RENEW: Duration = Duration::from_secs(2);
/// How often a candidate looks.
pub const LOOK: Duration = Duration::from_secs(1);

/// A Lease as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `spec.holderIdentity`; empty when it was given back.
    pub holder: String,
    /// `spec.leaseTransitions`.
    pub transitions: i32,
}

/// What to do about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create it, held by us.
    Create,
    /// Renew it: it is ours.
    Renew,
    /// Take it: it was given back, or its holder let it expire.
    Take,
    /// Look again later.
    Wait,
}

/// What a candidate remembers between two looks.
#[derive(Debug, Default)]
pub struct Election {
    /// The version last seen, and when it was first seen, in local monotonic milliseconds.
    seen: Option<(String, u64)>,
}

// === impl Election ===

impl Election {
    /// What to do, having read `record` (`None`: there is no Lease) at `now_ms`.
    pub fn decide(&mut self, me: &str, record: Option<&Record>, now_ms: u64) -> Action {
        let Some(record) = record else {
            self.seen = None;
            return Action::Create;
        };
        let first_seen = match &self.seen {
            Some((version, at)) if *version == record.resource_version => *at,
            _ => {
                self.seen = Some((record.resource_version.clone(), now_ms));
                now_ms
            }
        };
        let expired = now_ms.saturating_sub(first_seen) >= u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX);
        match &*record.holder {
            "" => Action::Take,
            holder if holder == me => Action::Renew,
            _ if expired => Action::Take,
            _ => Action::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str, version: &str) -> Record {
        Record { resource_version: version.into(), holder: holder.into(), transitions: 3 }
    }

    #[test]
    fn a_lease_is_taken_once_it_has_not_changed_for_its_duration() {
        let mut election = Election::default();
        assert_eq!(election.decide("b", Some(&held_by("a", "7")), 0), Action::Wait);
        assert_eq!(election.decide("b", Some(&held_by("a", "8")), 9_000), Action::Wait);
        assert_eq!(election.decide("b", Some(&held_by("a", "8")), 18_999), Action::Wait);
        assert_eq!(election.decide("b", Some(&held_by("a", "8")), 19_000), Action::Take);
    }

    #[test]
    fn a_lease_that_was_given_back_is_taken_at_once_and_ours_is_renewed() {
        let mut election = Election::default();
        assert_eq!(election.decide("b", None, 0), Action::Create);
        assert_eq!(election.decide("b", Some(&held_by("", "7")), 0), Action::Take);
        assert_eq!(election.decide("b", Some(&held_by("b", "8")), 0), Action::Renew);
    }
}
